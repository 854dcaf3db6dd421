from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import nn
from torch.nn import functional as F

from mmsr_core.errors import DeviceError, MmsrError
from mmsr_massrl.datasets import open_dataset
from mmsr_massrl.finetune import Schedule, finetune, moved
from mmsr_massrl.linear import best_rate, fit_linear
from mmsr_massrl.neighbours import knn_scores
from mmsr_massrl.probing import Features, accuracy, embed, pick_device, top5
from mmsr_massrl.protocols import Ask, probe

CPU = torch.device("cpu")


def quiet(what, done, total):
    """A report that nobody reads."""


def blobs(n, classes, spread, seed=0, width=6):
    """Features around one centre per class, the centres the same for every seed."""
    centres = torch.randn(classes, width, generator=torch.Generator().manual_seed(7)) * 3
    labels = torch.arange(n) % classes
    noise = torch.randn(n, width, generator=torch.Generator().manual_seed(seed))
    return Features(centres[labels] + spread * noise, labels)


def test_a_step_is_that_of_torch_with_nesterov_momentum_and_a_cosine():
    train = blobs(50, 3, 2.0)
    ours = fit_linear(train, 3, [0.5], seed=0, epochs=4, batch=50)
    scaled = (train.values - train.values.mean(0)) / train.values.std(0)
    layer = nn.Linear(6, 3)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    rate = 0.5 * 50 / 256
    optimizer = torch.optim.SGD(layer.parameters(), lr=rate, momentum=0.9, nesterov=True)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4)
    for _ in range(4):
        optimizer.zero_grad()
        F.cross_entropy(layer(scaled), train.labels).backward()
        optimizer.step()
        cosine.step()
    assert torch.allclose(ours.weights[0], layer.weight.T, atol=1e-5)
    assert torch.allclose(ours.biases[0, 0], layer.bias, atol=1e-5)


def test_the_linear_probe_tells_as_many_as_scikit_learns_logistic_regression():
    train, test = blobs(600, 5, 2.5, seed=1), blobs(500, 5, 2.5, seed=2)
    rate = best_rate(train, 5, (0.1, 1.0), seed=0)
    ours = fit_linear(train, 5, [rate], seed=0).scores(test.values)[0]
    theirs = LogisticRegression(C=1e3, max_iter=2000).fit(train.values, train.labels)
    expected = theirs.score(test.values, test.labels)
    assert 0.8 < expected < 0.99
    assert accuracy(ours, test.labels) == pytest.approx(expected, abs=0.012)


def test_several_rates_at_once_are_the_same_as_each_alone():
    train = blobs(40, 3, 1.0)
    both = fit_linear(train, 3, [0.1, 1.0], seed=3, epochs=5, batch=16)
    alone = fit_linear(train, 3, [1.0], seed=3, epochs=5, batch=16)
    assert torch.allclose(both.weights[1], alone.weights[0], atol=1e-6)


def test_the_rate_that_learns_is_chosen_over_one_that_does_not():
    generator = torch.Generator().manual_seed(0)
    labels, noise = torch.arange(400) % 2, torch.randn(400, generator=generator)
    told_by_the_difference = torch.stack([noise, noise + 0.1 * labels], dim=1)
    assert best_rate(Features(told_by_the_difference, labels), 2, (1e-9, 3.0), seed=0) == 3.0


def test_the_neighbours_vote_as_scikit_learns_do():
    train, test = blobs(300, 4, 4.0, seed=1), blobs(200, 4, 4.0, seed=2)
    theirs = KNeighborsClassifier(
        n_neighbors=20,
        metric="cosine",
        algorithm="brute",
        weights=lambda distances: np.exp((1 - distances) / 0.07),
    ).fit(train.values.double(), train.labels)
    ours = knn_scores(train, test.values, 4, k=20)
    assert np.allclose(F.normalize(ours, p=1, dim=1), theirs.predict_proba(test.values), atol=1e-4)


def test_accuracy_counts_the_labels_among_the_highest():
    scores = torch.eye(8)[[0, 1, 2, 3]] + torch.arange(8) * 0.01
    labels = torch.tensor([0, 1, 7, 0])
    assert accuracy(scores, labels) == 0.5
    assert top5(scores, labels) == 0.75
    assert top5(scores[:, :5], labels) is None


@pytest.fixture
def dataset(tmp_path):
    """Dark and bright images, twelve to learn from and four to be tested on in each class."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 4)):
        for label, level in (("dark", 60), ("bright", 180)):
            (tmp_path / split / label).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(level - 40, level + 40, (12, 12, 3)).astype(np.uint8)
                cv2.imwrite(str(tmp_path / split / label / f"{index}.png"), pixels)
    with open_dataset(tmp_path) as opened:
        yield opened


class Small(nn.Module):
    """An encoder of four features, with a normalisation whose statistics training would move."""

    names = ("a", "b", "c", "d")

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())

    def forward(self, images):
        return self.layers(images).mean((2, 3))


ASK = Ask(("linear", "knn", "finetune"), (0.5, 1.0), 2, 12, Schedule(20, 8, (2.0,)))


def test_every_protocol_tells_dark_from_bright_at_every_share_and_seed(dataset):
    scores = list(probe(Small(), dataset, ASK, CPU, quiet))
    assert [(s.protocol, s.labels, s.seed) for s in scores] == list(ASK.keys)
    assert [s.train for s in scores[:4]] == [12, 12, 24, 24]
    assert {s.top1 for s in scores if s.protocol != "finetune"} == {1.0}
    assert min(s.top1 for s in scores) > 0.8


def test_what_is_done_is_not_measured_again(dataset):
    left = list(probe(Small(), dataset, ASK, CPU, quiet, done=ASK.keys[:-1]))
    assert [(s.protocol, s.labels, s.seed) for s in left] == [ASK.keys[-1]]


def test_probing_leaves_the_encoder_as_it_is(dataset):
    encoder = Small()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    list(probe(encoder, dataset, ASK, CPU, quiet))
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_the_same_seed_gives_the_same_scores_and_another_seed_another_model(dataset):
    def weights(seed):
        schedule = Schedule(2, 8, (0.1,))
        model = finetune(Small(), 4, dataset.train, 2, 12, 0.1, schedule, seed, CPU, quiet)
        return model.encoder.layers[0].weight

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_fine_tuning_moves_the_encoder_and_linear_probing_could_not(dataset):
    encoder = Small()
    model = finetune(encoder, 4, dataset.train, 2, 12, 0.1, Schedule(2, 8), 0, CPU, quiet)
    assert not torch.equal(model.encoder.layers[0].weight, encoder.layers[0].weight)
    assert not model.training


def test_a_rate_that_makes_the_loss_no_number_is_said(dataset):
    schedule = Schedule(30, 8, (1e30,))
    with pytest.raises(MmsrError, match="lower"):
        finetune(Small(), 4, dataset.train, 2, 12, 1e30, schedule, 0, CPU, quiet)


def test_a_share_that_leaves_a_class_empty_is_said_before_anything_is_computed(dataset):
    with pytest.raises(MmsrError, match="leave the class"):
        next(probe(nn.Module(), dataset, replace(ASK, labels=(1.0, 0.01)), CPU, quiet))


def test_an_encoder_that_cannot_take_the_images_is_said(dataset):
    with pytest.raises(MmsrError, match="can't take images of side 2"):
        embed(Small(), dataset.train, 2, CPU, quiet, "features")


def test_features_are_of_images_as_they_are(dataset):
    features = embed(Small(), dataset.train, 12, CPU, quiet, "features", batch=5)
    pixels = np.concatenate([pixels for pixels, _ in dataset.train.batches(24, 12)])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        assert torch.allclose(features.values, Small().eval()(images), atol=1e-6)


def test_a_moved_image_is_itself_flipped_or_not_and_shifted_with_mirrored_borders():
    images = torch.rand(64, 3, 16, 16)
    found = moved(images, torch.Generator().manual_seed(0))
    padded = F.pad(images, (2, 2, 2, 2), mode="reflect")
    seen = set()
    for image, source in zip(found, padded, strict=True):
        matches = [
            (top, left, flipped)
            for top in range(5)
            for left in range(5)
            for flipped in (False, True)
            if torch.equal(
                source[:, top : top + 16, left : left + 16].flip(2)
                if flipped
                else source[:, top : top + 16, left : left + 16],
                image,
            )
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) > 20
    assert {flipped for _, _, flipped in seen} == {False, True}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said():
    with pytest.raises(DeviceError, match="no GPU"):
        pick_device("cuda")
