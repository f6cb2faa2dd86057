"""The other side of the sandbox: import a submission's file, call its functions, send the answers.

Run as ``python -I child.py REQUESTS ANSWERS FOLDER [PROCESSES]``, two file descriptors, the
submission, and how many processes its user may have. A message either way is one line of JSON and
the .npy files whose sizes it lists. A call goes:

    request ->    <- ready    go, arrays ->    <- answer, with the arguments as the call left them

so that the grader can time from "go" to the last byte, and nothing can be worked out before it.
A submission shares this process and may forge what it sends. That gains nothing: only right numbers
earn points, and none are here.
"""

import importlib
import importlib.util
import inspect
import io
import json
import os
import resource
import sys
import traceback
import types
from collections import namedtuple

import numpy as np

MAX_PARTS = 1000  # of a tuple or list that is sent back
GMMState = namedtuple("GMMState", "pi mu sigma")


def main(requests, answers, folder):
    """Answer requests until there are no more."""
    sys.path.insert(0, folder)
    sys.meta_path.insert(0, Stubs("torchvision"))  # no case needs it, and it may be broken
    sys.meta_path.append(Stubs("IPython", "tqdm", "matplotlib"))
    session = Session()
    while line := requests.readline():
        send(answers, *session.answer(json.loads(line), requests, answers))


class Session:
    """The submission's modules, and the model that 5c trains."""

    model = None

    def answer(self, request, requests, answers):
        """Return the JSON header and the arrays that answer a request."""
        blobs = []
        try:
            function = self.find(request["file"], request["functions"])
            if function is None:
                return {"status": "missing", "what": request["functions"][0]}, blobs
            send(answers, {"status": "ready"}, [])
            requests.readline()  # go
            arrays = [read_array(requests, size) for size in request["sizes"]]
            arguments = [self.unpack(spec, arrays) for spec in request["arguments"]]
            options = {key: self.unpack(spec, arrays) for key, spec in request["options"].items()}
            result = function(*arguments, **options)
        except ModuleNotFoundError as error:
            if error.name == request["file"]:
                return {"status": "missing", "what": f"{error.name}.py"}, blobs
            return failure(error), blobs
        except BaseException as error:  # a submission may raise SystemExit too
            return failure(error), blobs
        try:
            specs = pack(result, blobs), [pack(argument, blobs) for argument in arguments]
        except Exception as error:
            return failure(error), blobs
        return {"status": "answer", "result": specs[0], "arguments": specs[1]}, blobs

    def find(self, file, names):
        """Return the first of these functions that the file has; "model." ones are for 5c."""
        module = importlib.import_module(file)
        self.state_class = getattr(module, "GMMState", GMMState)
        if names[0].startswith("model."):
            return self.find_method([name.partition(".")[2] for name in names], module)
        return next((f for f in (getattr(module, n, None) for n in names) if callable(f)), None)

    def find_method(self, names, module):
        own = {"new": self.new, "seeded": self.seeded, "fit": self.fit, "restore": self.restore}
        if names[0] in own:
            self.module = module
            return own[names[0]] if hasattr(module, "CVAE") else None
        return next((getattr(self.model, n) for n in names if hasattr(self.model, n)), None)

    def unpack(self, spec, arrays):
        if isinstance(spec, dict) and "array" in spec:
            return arrays[spec["array"]]
        if isinstance(spec, dict) and "tensor" in spec:
            import torch

            return torch.from_numpy(arrays[spec["tensor"]])
        if isinstance(spec, dict) and "state" in spec:
            parts = [arrays[i] for i in spec["state"]]
            try:  # by name: the class may have another order
                return self.state_class(**dict(zip(GMMState._fields, parts, strict=True)))
            except TypeError:
                return self.state_class(*parts)
        return spec

    # What 5c needs beyond calls of the submission's functions

    def new(self, seed, **sizes):
        """Make the model; the sizes that its constructor does not take are left out."""
        import torch

        torch.manual_seed(seed)
        torch.set_num_threads(1)
        takes = inspect.signature(self.module.CVAE).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in takes.values()):
            sizes = {name: value for name, value in sizes.items() if name in takes}
        self.model = self.module.CVAE(**sizes).eval()  # layers that drop out must not add noise

    def seeded(self, seed, x, c, mu, logvar, repeats):
        """Return x_hat (repeats B, D), mu and logvar of `forward`.

        Its recognition model gives these mu and logvar, unless `forward` does without it.
        """
        import torch

        codes = self.model.recognition_model(x, c)
        codes = codes._make((mu, logvar)) if hasattr(codes, "_make") else (mu, logvar)
        self.model.__dict__["recognition_model"] = lambda *args, **kwargs: codes  # before a layer
        try:
            for training in (False, True):  # some sample only while they are trained
                outputs = []
                self.model.train(training)
                for number in range(repeats):
                    torch.manual_seed(seed + number)
                    outputs.append([part.detach().flatten(1) for part in self.model(x, c)])
                if not torch.equal(outputs[0][0], outputs[1][0]):
                    break
        finally:
            self.model.eval()
            del self.model.__dict__["recognition_model"]
        x_hat, mu, logvar = zip(*outputs, strict=True)
        return torch.cat(x_hat), mu[0], logvar[0]

    def fit(self, seed, images, labels, num_epochs, batch_size, learning_rate, num_classes):
        """Train with the submission's loss; return each epoch's mean loss and the parameters."""
        import torch

        torch.manual_seed(seed)
        x = torch.from_numpy(images).flatten(1).float() / 255  # (N, D)
        c = torch.nn.functional.one_hot(torch.from_numpy(labels), num_classes).float()  # (N, C)
        optimizer = torch.optim.Adam(self.model.parameters(), lr=learning_rate)
        losses = []
        self.model.train()
        for _ in range(num_epochs):
            total = 0.0
            for rows in torch.randperm(len(x)).split(batch_size):
                x_hat, mu, logvar = self.model(x[rows], c[rows])
                loss = self.module.loss_function(x_hat, x[rows], mu, logvar)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += float(loss.detach()) * len(rows)
            losses.append(total / len(x))
        state = self.model.eval().state_dict()
        return [np.array(losses), *state.values()]

    def restore(self, *parameters):
        """Give the model the parameters that `fit` returned."""
        import torch

        names = self.model.state_dict()
        tensors = (torch.from_numpy(array) for array in parameters)
        self.model.load_state_dict(dict(zip(names, tensors, strict=True)))


def pack(value, blobs, depth=0):
    """Return what stands for the value in JSON; arrays are appended to the blobs."""
    if value is None or isinstance(value, (bool, int, float)):
        return {"value": value}
    if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        if array.dtype.kind not in "buifc":
            return {"type": f"array of {array.dtype}"}
        blobs.append(array)
        return {"array": len(blobs) - 1}
    if all(hasattr(value, name) for name in GMMState._fields):
        value = [value.pi, value.mu, value.sigma]
    if isinstance(value, (tuple, list)) and len(value) <= MAX_PARTS and depth < 4:
        return {"parts": [pack(part, blobs, depth + 1) for part in value]}
    return {"type": type(value).__name__}


def failure(error):
    """Return the header that tells of an exception."""
    kind = "not implemented" if isinstance(error, NotImplementedError) else "exception"
    trace = traceback.format_exception(error)
    own = [line for line in trace if "child.py" not in line and "importlib" not in line]
    return {"status": kind, "error": "".join(own).replace(f"{sys.path[0]}{os.sep}", "")[-3000:]}


def send(answers, header, blobs):
    files = []
    for array in blobs:
        file = io.BytesIO()
        np.lib.format.write_array(file, np.asarray(array, order="C"), allow_pickle=False)
        files.append(file.getvalue())
    line = json.dumps({**header, "sizes": [len(file) for file in files]})
    answers.write(line.encode() + b"\n" + b"".join(files))
    answers.flush()


def read_array(requests, size):
    return np.lib.format.read_array(io.BytesIO(requests.read(size)), allow_pickle=False)


class Stubs:
    """Stand in for packages that students import and no case needs."""

    def __init__(self, *names):
        self.names = names

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] in self.names:
            return importlib.util.spec_from_loader(fullname, self)
        return None

    def create_module(self, spec):
        return Stub(spec.name)

    def exec_module(self, module):
        module.__path__ = []


class Stub(types.ModuleType):
    """A module in which every name is a function that gives its first argument back."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: args[0] if args else None


def set_limits(seconds, file_bytes, num_files):
    """Bound what the kernel can bound; the grader watches the rest."""
    for kind, limit in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, num_files),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (limit, limit))


if __name__ == "__main__":
    set_limits(seconds=600, file_bytes=1 << 26, num_files=256)
    if len(sys.argv) > 4:  # threads count too
        resource.setrlimit(resource.RLIMIT_NPROC, (int(sys.argv[4]),) * 2)
    read, write, where = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    os.set_inheritable(read, False)
    os.set_inheritable(write, False)
    main(os.fdopen(read, "rb"), os.fdopen(write, "wb"), where)
