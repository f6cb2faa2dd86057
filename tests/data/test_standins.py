"""The stand-ins: rendered faces, synthesised sounds, enlarged digits."""

import numpy as np
import pytest
from scipy.sparse.linalg import svds
from scipy.stats import kurtosis

from data import heads, sounds, standins


def test_faces_shape_dtype_and_people(faces):
    assert faces.images.shape == (2414, 48, 42)
    assert faces.images.dtype == np.uint8
    assert faces.person.shape == (2414,)
    assert faces.light.shape == (2414, 3)
    np.testing.assert_array_equal(np.unique(faces.person), np.arange(38))
    assert set(np.bincount(faces.person)) == {63, 64}
    np.testing.assert_allclose(np.linalg.norm(faces.light, axis=1), 1, atol=1e-6)
    for person in range(38):  # no lamp is used twice on one person
        lights = faces.light[faces.person == person]
        assert len(np.unique(lights, axis=0)) == len(lights)
    assert len(np.unique(faces.images.reshape(2414, -1), axis=0)) > 2400


def test_faces_are_deterministic(faces):
    np.testing.assert_array_equal(heads.render_faces().images, faces.images)


def test_lit_side_is_the_lamps_side(faces):
    """Under a lamp well off to one side, the picture's half on that side is the brighter one."""
    halves = faces.images.reshape(2414, 48, 2, 21).mean(axis=(1, 3))
    for sign in (-1, 1):
        # The lamps furthest behind reach the rim of the head at most: those pictures are black.
        aside = (sign * faces.light[:, 0] > 0.5) & (faces.light[:, 2] > -0.5)
        assert aside.sum() > 300
        left, right = halves[aside].T
        assert np.all(sign * (right - left) > 0)


def test_frontal_pictures_read_as_faces(faces):
    """Eyes and mouth are darker than the cheeks; each face is nearly its own mirror image."""
    frontal = faces.images[faces.light[:, 2] > 0.999].astype(float)
    assert len(frontal) == 38
    cheeks = frontal[:, 18:26, 6:14].mean(axis=(1, 2))
    pupils = frontal[:, 9:16, 7:15].min(axis=(1, 2))
    mouth = frontal[:, 33:40, 19:23].min(axis=(1, 2))
    assert np.all(pupils < 0.6 * cheeks)
    assert np.all(mouth < 0.75 * cheeks)
    for face in frontal:
        assert np.corrcoef(face.ravel(), face[:, ::-1].ravel())[0, 1] > 0.6


def test_shadows_are_attached(faces):
    """A cheek that faces away from a side lamp gets the ambient light only."""
    right = (faces.light[:, 0] > 0.9) & (np.abs(faces.light[:, 1]) < 0.1)
    cheek = np.s_[:, 20:26, 4:10]
    dark = faces.images[right][cheek].mean(axis=(1, 2))
    frontal = faces.images[faces.light[:, 2] > 0.999][cheek].mean(axis=(1, 2))
    assert len(dark) >= 38
    assert dark.max() < 0.15 * frontal.min()


@pytest.mark.parametrize("azimuth", [-100, -60, 0, 30, 80])
def test_shading_of_a_ball_is_lamberts(azimuth):
    """A ball's normal is its radius, and a convex body casts no shadow on its lit side."""
    pixel, radius = 2 / 84, 0.9
    y, x = np.mgrid[47.5:-48:-1, -41.5:42] * pixel
    z = np.sqrt(np.maximum(radius**2 - x**2 - y**2, 0))
    angle = np.radians(azimuth)
    light = np.array([np.sin(angle) * 0.8, 0.6, np.cos(angle) * 0.8])
    shade = heads._shade(z[None], heads._normals(z[None], pixel), light, pixel)[0]
    expected = heads.AMBIENT + np.maximum(np.stack([x, y, z], axis=-1) @ light / radius, 0)
    middle = np.hypot(x, y) < 0.75
    np.testing.assert_allclose(shade[middle], expected[middle], atol=0.02)
    assert azimuth == 0 or np.any(expected[middle] == heads.AMBIENT)  # some of it is in shadow


def test_length_of_a_cast_shadow():
    """A wall of height H hides the lamp over H / tan(elevation) of flat ground."""
    ground = np.zeros((1, 96, 84))
    wall, height, pixel = 60, 0.2, 2 / 84
    ground[0, :, wall:] = height
    light = np.array([np.cos(0.7), 0.0, np.sin(0.7)])  # from the right, 0.7 rad above the ground
    seen = heads._visible(ground, light, pixel)[0]
    half = (height - heads.PENUMBRA / 2) / np.tan(0.7) / pixel  # pixels to where it is half hidden
    hidden = seen[48, :wall] < 0.5
    assert hidden.sum() == pytest.approx(half, abs=1)
    assert np.all(hidden[-hidden.sum() :])  # at the foot of the wall
    assert np.all(seen[:, wall:] == 1)
    assert np.all(heads._visible(ground, np.array([0.0, 0.0, 1.0]), pixel) == 1)


def test_unshaded_skin_is_linear_in_the_light(faces):
    """Where nothing is in shadow, grey = albedo (ambient + n.l): a linear fit leaves rounding."""
    checked = 0
    for person in range(38):
        own = faces.person == person
        forehead = faces.images[own][:, 5:7, 20:22].mean(axis=(1, 2))
        light = faces.light[own]
        near = light[:, 2] > 0.85  # no cast shadow reaches the forehead
        design = np.column_stack([light[near], np.ones(near.sum())])
        coefficients = np.linalg.lstsq(design, forehead[near], rcond=None)[0]
        np.testing.assert_allclose(design @ coefficients, forehead[near], atol=2.5)
        checked += near.sum()
    assert checked > 500


def test_first_eigenfaces_are_lighting(faces):
    """The light direction alone, the person unknown, predicts the first three scores."""
    data = faces.images.reshape(2414, -1).astype(float)
    centred = data - data.mean(axis=0)
    left, sizes, _ = svds(centred, 3, rng=0)  # in rising order
    scores = (left * sizes)[:, ::-1]  # (2414, 3)
    x, y, z = faces.light.T
    design = np.column_stack([np.ones(2414), x, y, z, x * x, x * y, x * z, y * y, y * z])
    fitted = design @ np.linalg.lstsq(design, scores, rcond=None)[0]
    explained = 1 - ((scores - fitted) ** 2).sum(axis=0) / (scores**2).sum(axis=0)
    assert np.all(explained > 0.85)
    # The level of light, then left against right, then above against below.
    correlation = np.corrcoef(scores.T, faces.light.T)[:3, 3:]
    np.testing.assert_array_equal(np.abs(correlation[:, [2, 0, 1]]).argmax(axis=1), [0, 1, 2])
    assert np.all(np.abs(correlation[[0, 1, 2], [2, 0, 1]]) > 0.85)


def test_people_differ(faces):
    frontal = faces.images[faces.light[:, 2] > 0.999].reshape(38, -1).astype(float)
    distance = np.sqrt(((frontal[:, None] - frontal) ** 2).mean(axis=2))
    assert distance[~np.eye(38, dtype=bool)].min() > 5  # grey levels, root mean square


def test_audio_shape_and_dtype(audio):
    assert audio.sources.shape == audio.mix.shape == (53442, 5)
    assert audio.sources.dtype == audio.mix.dtype == np.float64
    assert audio.mixing.shape == (5, 5)
    assert audio.rate == 11025
    assert len(sounds.SOURCES) == 5
    np.testing.assert_allclose(audio.mix, audio.sources @ audio.mixing.T, rtol=1e-12)
    np.testing.assert_allclose(audio.sources.std(axis=0), 1, rtol=1e-4)


def test_audio_is_deterministic(audio):
    sounds.mix_sources().mixing[:] = 0  # a copy
    np.testing.assert_array_equal(sounds.mix_sources().mix, audio.mix)


def test_mixing_is_invertible_and_mixes(audio):
    assert np.linalg.cond(audio.mixing) < 10
    share = np.abs(audio.mixing) / np.abs(audio.mixing).sum(axis=1, keepdims=True)
    assert share.max() < 0.5  # no microphone hears mostly one source
    assert share.min() > 0.04  # and each hears all of them


def test_sources_are_super_gaussian_and_nearly_uncorrelated(audio):
    assert np.all(kurtosis(audio.sources) > 3)
    off_diagonal = np.corrcoef(audio.sources.T)[~np.eye(5, dtype=bool)]
    assert np.abs(off_diagonal).max() < 0.03


def test_every_source_sounds_throughout(audio):
    """No silence of a second: the samples come in order, and the last passes must hear them all."""
    power = (audio.sources[:44100].reshape(4, 11025, 5) ** 2).mean(axis=1)  # (4, 5)
    assert power.min() > 0.1


def test_sources_have_spectra_of_their_own(audio):
    power = np.abs(np.fft.rfft(audio.sources, axis=0)) ** 2
    frequency = np.fft.rfftfreq(len(audio.sources), 1 / audio.rate)  # Hz
    centroid = dict(zip(sounds.SOURCES, frequency @ power / power.sum(axis=0), strict=True))
    assert centroid["voice"] < 1000 < centroid["surf"] < 2500 < centroid["bird"]
    edges = np.arange(0, 5500, 100)
    band = np.stack([power[(frequency >= f) & (frequency < f + 100)].sum(axis=0) for f in edges])
    similarity = np.corrcoef(np.sqrt(band).T)
    assert similarity[~np.eye(5, dtype=bool)].max() < 0.95


def test_digits_can_be_told_apart():
    """The nearest class mean on the training part names most digits of the other part."""
    images, labels = standins.digits("train")
    others, true = standins.digits("test")
    means = np.stack([images[labels == k].mean(axis=0) for k in range(10)])
    gaps = ((others[:, None].astype(float) - means) ** 2).sum(axis=(2, 3))  # (297, 10)
    assert (gaps.argmin(axis=1) == true).mean() > 0.8
    assert images.max() == 255
    border = np.ones((28, 28), bool)
    border[4:24, 4:24] = False
    assert not images[:, border].any()
