"""Five synthesised sounds and a fixed mixture of them: the stand-in for the microphone recordings.

A voice, a plucked string, a drum kit, surf and a bird, each 4.85 s long. All are quiet most of the
time and loud now and then, so their amplitudes are peaked and heavy-tailed (super-Gaussian): the
property by which the logistic density of maximum-likelihood ICA tells sources from mixtures.
"""

from typing import NamedTuple

import numpy as np
from scipy import signal

RATE = 11025  # samples per second
NUM_SAMPLES = 53442  # 4.85 s
SEED = 5
HISS = 1e-3  # every recording has some: 60 dB below the sound

# MIXING[i, j]: how loudly microphone i hears source j. No source outweighs the other four together.
MIXING = np.array(
    [
        [0.80, 0.35, 0.45, 0.15, 0.30],
        [0.25, 0.80, 0.20, 0.45, 0.35],
        [0.35, 0.15, 0.80, 0.30, 0.45],
        [0.45, 0.40, 0.30, 0.80, 0.10],
        [0.20, 0.45, 0.25, 0.40, 0.80],
    ]
)

# Vowels by their first three formants in Hz.
VOWELS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}
FORMANT_BANDWIDTHS = (80, 100, 140)  # Hz
SYLLABLES = "aeioauieaoiuaeoi"  # one vowel each
TUNE = (0, 4, 7, 12, 9, 7, 4, 5, 2, 7, 11, 7, 5, 4, 2, 0)  # semitones above TONIC
TONIC = 196.0  # Hz, the G below middle C
BEAT = 0.3  # seconds between drum strokes
KIT = "k.hs.hkkhs.hk.hs"  # k kick drum, s snare, h hi-hat, . rest


class MixedSources(NamedTuple):
    sources: np.ndarray  # float64 (53442, 5), one a column, scaled to variance 1
    mixing: np.ndarray  # float64 (5, 5)
    mix: np.ndarray  # float64 (53442, 5), mix = sources @ mixing.T
    rate: int


def _place(track, sound, seconds):
    """Add a sound to a track from a given time on; what would stick out at the end is lost."""
    start = round(seconds * RATE)
    heard = track[start : start + len(sound)]  # a view
    heard += sound[: len(heard)]


def _time(seconds):
    return np.arange(round(seconds * RATE)) / RATE


def voice(rng):
    """Syllables with pauses: the harmonics of a gliding pitch, each weighted by moving formants."""
    track = np.zeros(NUM_SAMPLES)
    slot = NUM_SAMPLES / RATE / len(SYLLABLES)
    for i, vowel in enumerate(SYLLABLES):
        following = SYLLABLES[(i + 1) % len(SYLLABLES)]
        t = _time(slot * rng.uniform(0.65, 0.9))
        glide = t / t[-1]
        pitch = rng.uniform(105, 140) * (1 + 0.08 * np.sin(np.pi * glide))  # Hz
        harmonics = np.arange(1, 36)[:, None]  # up to 5 kHz, below half the rate
        frequency = harmonics * pitch  # (35, T)
        response = np.ones(frequency.shape, complex)
        for f0, f1, width in zip(VOWELS[vowel], VOWELS[following], FORMANT_BANDWIDTHS, strict=True):
            formant = f0 + (f1 - f0) * glide**2
            response /= 1 - (frequency / formant) ** 2 + 1j * frequency * width / formant**2
        phase = 2 * np.pi * harmonics * np.cumsum(pitch) / RATE
        glottis = np.exp(1j * phase) / harmonics  # a pulse train that loses 6 dB an octave
        envelope = np.sin(np.pi * glide**0.6) ** 1.5
        _place(track, envelope * (response * glottis).sum(axis=0).real, i * slot)
    return track


def string(rng):
    """A tune on a plucked string: noise going round a delay line (Karplus and Strong, 1983)."""
    track = np.zeros(NUM_SAMPLES)
    step = NUM_SAMPLES / RATE / len(TUNE)
    for i, semitones in enumerate(TUNE):
        period = round(RATE / (TONIC * 2 ** (semitones / 12)))  # samples
        pluck = np.zeros(round(1.2 * RATE))
        pluck[:period] = rng.uniform(-1, 1, period)
        loop = np.zeros(period + 2)
        loop[[0, period, period + 1]] = 1, -0.49, -0.49  # mean of two neighbours, less 2 % a turn
        _place(track, signal.lfilter([1.0], loop, pluck), i * step)
    return track


def drums(rng):
    """A kick drum (falling tone), snare (tone and noise) and hi-hat (high noise), one each beat."""
    t = _time(0.25)
    high_pass = signal.butter(4, 3500, "highpass", fs=RATE, output="sos")
    track = np.zeros(NUM_SAMPLES)
    for i, stroke in enumerate(KIT):
        noise = rng.standard_normal(len(t))
        sound = {
            "k": 1.6 * np.exp(-t / 0.05) * np.sin(2 * np.pi * (50 * t - 4 * np.exp(-t / 0.03))),
            "s": np.exp(-t / 0.04) * (0.6 * noise + 0.5 * np.sin(2 * np.pi * 190 * t)),
            "h": 1.2 * np.exp(-t / 0.02) * signal.sosfilt(high_pass, noise),
            ".": np.zeros_like(t),
        }[stroke]
        _place(track, sound, i * BEAT)
    return track


def surf(rng):
    """Breaking waves: noise in a broad band, its loudness swelling slowly, crackling quickly."""
    band = signal.butter(2, (300, 2500), "bandpass", fs=RATE, output="sos")
    hiss = signal.sosfilt(band, rng.standard_normal(NUM_SAMPLES))
    slow = signal.butter(2, 12, fs=RATE, output="sos")
    crackle = signal.sosfiltfilt(slow, rng.standard_normal(NUM_SAMPLES))
    swell = np.sin(2 * np.pi * 0.55 * np.arange(NUM_SAMPLES) / RATE)
    return hiss * np.exp(0.5 * swell + 0.7 * crackle / crackle.std())


def bird(rng):
    """Song in phrases: short whistles whose pitch sweeps up or down between 2 and 4.5 kHz."""
    track = np.zeros(NUM_SAMPLES)
    start = 0.05
    while start < NUM_SAMPLES / RATE:
        begin, end = rng.uniform(2000, 4500, 2)  # Hz
        for _ in range(rng.integers(2, 6)):
            t = _time(rng.uniform(0.05, 0.09))
            pitch = begin + (end - begin) * t / t[-1] + 80 * np.sin(2 * np.pi * 45 * t)
            chirp = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * np.sin(np.pi * t / t[-1]) ** 2
            _place(track, rng.uniform(0.5, 1.0) * chirp, start)
            start += 0.1
        start += rng.uniform(0.05, 0.2)
    return track


SOURCES = {"voice": voice, "string": string, "drums": drums, "surf": surf, "bird": bird}


def mix_sources():
    """Synthesise the five sources and what five microphones hear of them.

    Returns
    -------
    MixedSources
        `sources` float64 (53442, 5) in the order of `SOURCES`, `mixing` float64 (5, 5),
        `mix` float64 (53442, 5) and `rate` in samples per second.
    """
    rng = np.random.default_rng(SEED)
    sources = np.stack([make(rng) for make in SOURCES.values()], axis=1)
    sources -= sources.mean(axis=0)
    sources /= sources.std(axis=0)  # (53442, 5)
    sources += HISS * rng.standard_normal(sources.shape)
    return MixedSources(sources, MIXING.copy(), sources @ MIXING.T, RATE)
