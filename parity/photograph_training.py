"""Training on photographs: train and evaluate on shards of JPEG and PNG files, and torchvision's ImageFolder in PyTorch.

Without random transforms, the same seed gives the same weights and batches on both sides, and the losses must be equal
but for rounding. With them, both sides draw other crops, so that only the accuracies of several runs can be compared.
"""
import statistics

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2
from article_pytorch import evaluate
from safetensors.torch import load_file
import shapes
from sandbox import Row, relative, state_difference, within

COUNTS = {"train": 300, "test": 80}  # of each class
SIZE, RESIZED, BATCH = 64, 72, 32
SEEDS, EPOCHS = 4, 8
WIDTHS = [16, 32, 64, 128]
OPTIMIZER = {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}
# The steps with the same batches. At the rate of the runs, differences that began as rounding would reach 1 % of the
# loss after eight steps. After these steps the biases are still so small that rounding shows in them: those of PyTorch
# with and without oneDNN differ by 3.6e-2 of the largest.
STEPS, STEPS_LR = 30, 0.001
LEAST = 0.9  # Both sides must learn to tell the shapes.

WHOLE = f"Resize({RESIZED}) | CenterCrop({SIZE}) | ToTensor | Normalize(0.5, 0.25)"
RANDOM = f"RandomResizedCrop({SIZE}, scale=(0.5, 1.0)) | RandomHorizontalFlip | ToTensor | Normalize(0.5, 0.25)"
LAYERS = "\n".join(
    f'"Conv2d(out_channels={width}, kernel_size=3, padding=1, bias=false)", "BatchNorm2d", "ReLU", "MaxPool2d(2)",'
    for width in WIDTHS
)
RECIPE = f"""
[model]
layer = [
{LAYERS}
"AdaptiveAvgPool2d(1)", "Flatten", "Linear",
]
[train]
epochs = {EPOCHS}
batch_size = {BATCH}
eval_every = {EPOCHS}
[train.optimizer]
type = "SGD"
lr = {OPTIMIZER["lr"]}
momentum = {OPTIMIZER["momentum"]}
weight_decay = {OPTIMIZER["weight_decay"]}
[train.schedule]
type = "CosineAnnealingLR"
T_max = {EPOCHS}
"""


def compare(sandbox):
    folder = sandbox.made("training-shapes", write)
    recipe = sandbox.work / "shapes.toml"
    recipe.write_text(RECIPE)
    yield from same_batches(sandbox, folder, recipe)
    yield from random_crops(sandbox, folder, recipe)


def write(folder):
    for seed, (split, count) in enumerate(COUNTS.items()):
        shapes.write(folder / split, count, seed)


def same_batches(sandbox, folder, recipe):
    """Steps without random transforms."""
    shards = sandbox.work / "whole-shards"
    sandbox.program("prep", folder, "-o", shards, "--transform", WHOLE, "--store", "encoded")
    options = ["--recipe", recipe, "--data", shards, "--seed", 0, "--steps", STEPS, "--lr", STEPS_LR]
    checkpoint, ours = sandbox.train("shapes", *options)
    losses, test, network = train(folder, torchvision_whole(), 0, STEPS_LR, STEPS)
    yield within(f"loss of each of {STEPS} steps without random transforms", relative(ours["train loss"], losses), 1e-3, " of it")
    yield within("test loss after them", relative(ours["test loss"][-1:], [test[0]]), 1e-3, " of it")
    yield within("weights and buffers after them", state_difference(load_file(checkpoint), network.state_dict()), 5e-2, " of largest")


def random_crops(sandbox, folder, recipe):
    """Whole runs with random crops and flips."""
    shards = sandbox.work / "random-shards"
    sandbox.program("prep", folder, "-o", shards, "--train-transform", RANDOM, "--test-transform", WHOLE)
    ours, theirs, evaluated = [], [], []
    for seed in range(SEEDS):
        _, curves = sandbox.train("shapes", "--recipe", recipe, "--data", shards, "--seed", seed)
        ours.append(curves["test accuracy"][-1])
        _, test, network = train(folder, torchvision_random(), seed, OPTIMIZER["lr"])
        theirs.append(test[1])
        evaluated.append(abs(accuracy_here(sandbox, network, recipe, shards) - test[1]))
    yield within("PyTorch's networks in evaluate: accuracy", max(evaluated), 1 / images("test"))
    yield compared(ours, theirs)


def compared(ours, theirs):
    """A row for the mean accuracies, whose difference must be explained by the spread between seeds."""
    error = ((statistics.variance(ours) + statistics.variance(theirs)) / SEEDS) ** 0.5
    difference, bound = statistics.mean(ours) - statistics.mean(theirs), 3 * error + 1 / images("test")
    said = " and ".join(f"{statistics.mean(side):.3f} ±{statistics.stdev(side):.3f}" for side in (ours, theirs))
    ok = abs(difference) <= bound and min(*ours, *theirs) >= LEAST
    return Row(f"accuracy of {SEEDS} runs, here and there: {said}", f"{difference:+.4f}", f"{bound:.4f}", ok)


def images(split):
    """The number of images."""
    return COUNTS[split] * len(shapes.SHAPES)


def torchvision_whole():
    return v2.Compose([v2.Resize(RESIZED), v2.CenterCrop(SIZE), *to_tensor()])


def torchvision_random():
    return v2.Compose([v2.RandomResizedCrop(SIZE, scale=(0.5, 1.0)), v2.RandomHorizontalFlip(), *to_tensor()])


def to_tensor():
    return [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.25] * 3)]


def network_of_shapes():
    """The recipe's network."""
    layers, channels = [], 3
    for width in WIDTHS:
        convolution = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, len(shapes.SHAPES)))


def train(folder, transform, seed, lr, steps=None):
    """Trains in PyTorch. Returns each step's loss, the test loss and accuracy, and the network."""
    torch.manual_seed(seed)
    network = network_of_shapes()
    training = DataLoader(ImageFolder(folder / "train", transform), BATCH, shuffle=True, drop_last=True)
    testing = DataLoader(ImageFolder(folder / "test", torchvision_whole()), BATCH)
    loss_function = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), **OPTIMIZER | {"lr": lr})
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    losses = []
    for _ in range(EPOCHS):
        network.train()
        for batch, labels in training:
            optimizer.zero_grad()
            loss = loss_function(network(batch), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if len(losses) == steps:
                return losses, evaluate(network, testing, loss_function, torch.device("cpu")), network
        schedule.step()
    return losses, evaluate(network, testing, loss_function, torch.device("cpu")), network


def accuracy_here(sandbox, network, recipe, shards):
    """The accuracy that evaluate computes for a network of PyTorch's."""
    saved = sandbox.work / "shapes.pt"
    torch.save(network.state_dict(), saved)
    probabilities = sandbox.probabilities(saved, shards, "--model", recipe)
    labels = torch.arange(len(shapes.SHAPES)).repeat_interleave(COUNTS["test"])
    return (probabilities.argmax(1) == labels).double().mean().item()
