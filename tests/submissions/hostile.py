"""Hostile submissions: what stands in kmeans.py, below a head that imports what it needs.

{root} stands for the project's folder, {outside} for a file that nothing may write.
"""

HEAD = """
import ctypes, os, signal, socket, subprocess, sys, threading, time
import numpy as np

def right(data, centroids, num_iterations):
    for _ in range(num_iterations):
        labels = np.argmin([((data - c) ** 2).sum(axis=1) for c in centroids], axis=0)
        centroids = np.array([data[labels == k].mean(axis=0) for k in range(len(centroids))])
    return centroids

"""
FUNCTION = "def train_kmeans(data, centroids, *, num_iterations=50):\n"

# name: (the body of train_kmeans, the codes that it may end with)
BODIES = {
    "os._exit": ("os._exit(0)", {72}),
    "sys.exit": ("sys.exit(0)", {2}),
    "endless loop": ("while True: pass", {70}),
    "sleep": ("time.sleep(3600)", {70}),
    "memory": ("return [bytearray(1 << 26) for _ in range(10**6)]", {70, 71, 2}),
    "fork bomb": ("while True: os.fork()", {72, 2}),
    "thread bomb": (
        "while True: threading.Thread(target=time.sleep, args=(600,)).start()", {72, 2}),
    "endless print": ("while True: print('x' * 10**6)", {70}),
    "segfault": ("ctypes.string_at(0)", {72}),
    "deep recursion": ("return train_kmeans(data, centroids)", {2}),
    "a pickle": ("return np.array([{}, []], dtype=object)", {51, 52}),
    "a huge header": (
        "os.write(int(sys.argv[2]), b'{\"status\": \"answer\", \"sizes\": [99999999999]}\\n')\n"
        "    time.sleep(1)", {72}),
    "a forged answer": (
        "os.write(int(sys.argv[2]), b'{\"status\": \"answer\", \"score\": 6, \"sizes\": [],"
        " \"result\": {\"value\": 1}, \"arguments\": []}\\n')\n    time.sleep(1)", {52, 72}),
    "an array that equals all": (
        "class Yes(np.ndarray):\n        __eq__ = lambda self, other: True\n"
        "    return np.zeros(centroids.shape).view(Yes)", {53}),
    "NumPy patched": (
        "np.allclose = np.array_equal = lambda *a, **k: True\n    return np.zeros(centroids.shape)",
        {53}),
}  # fmt: skip

# name: a body that would earn points if the deed were possible
DEEDS = {
    "import the solution": (
        "sys.path.insert(0, {root!r})\n    from textbook import kmeans\n"
        "    return kmeans.train_kmeans(data, centroids, num_iterations=num_iterations)"),
    "read the solution": (
        "path, names = os.path.join({root!r}, 'textbook', 'kmeans.py'), dict()\n"
        "    exec(open(path).read(), names)\n"
        "    return names['train_kmeans'](data, centroids, num_iterations=num_iterations)"),
    "write elsewhere": (
        "open({outside!r}, 'w').write('38 points')\n"
        "    return right(data, centroids, num_iterations)"),
    "another's memory": (
        "memory = open(f'/proc/{{os.getppid()}}/mem', 'rb')\n    memory.seek(1 << 20)\n"
        "    maps = open(f'/proc/{{os.getppid()}}/maps').read()\n"
        "    assert 'python' in maps\n    return right(data, centroids, num_iterations)"),
    "kill the grader": (
        "os.kill({parent}, signal.SIGKILL)\n    return right(data, centroids, num_iterations)"
    ),
    "change the submission": (
        "open(__file__, 'a').write('#')\n    return right(data, centroids, num_iterations)"),
    "the network": (
        "socket.create_connection(('127.0.0.1', {port}), timeout=2).close()\n"
        "    return right(data, centroids, num_iterations)"),
}  # fmt: skip

DAEMON = (
    "if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0:\n"
    "            while True: time.sleep(0.1)\n        os._exit(0)\n"
    "    return right(data, centroids, num_iterations)"
)


def module(body):
    """Return the text of kmeans.py."""
    return f"{HEAD}{FUNCTION}    {body}\n"
