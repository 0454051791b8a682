"""200 steps of the article's training: the same seed gives the same weights and the same batches on both sides.

The bound of the weights is wider than that of the losses: if two values in a window of max pooling are equal except for
rounding, rounding decides which one gets the gradient, and every batch has such pairs. PyTorch without oneDNN differs
as much from PyTorch as torchmill does.
"""
import torch
from article_pytorch import evaluate
from networks import Article
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader
from sandbox import relative, state_difference, within

STEPS = 200


def compare(sandbox):
    checkpoint, ours = sandbox.train(
        "article", "--recipe", "article", "--data", sandbox.shards(), "--seed", 0, "--steps", STEPS
    )
    losses, tests, network = theirs(sandbox)
    yield within(f"loss of each of {len(losses)} steps", relative(ours["train loss"], losses), 1e-4, " of it")
    when = f"after {len(tests) - 1} epochs and at the end"
    yield within(f"test loss {when}", relative(ours["test loss"], [loss for loss, _ in tests]), 1e-4, " of it")
    accuracies = [abs(a - b) for a, (_, b) in zip(ours["test accuracy"], tests, strict=True)]
    yield within(f"test accuracy {when}", max(accuracies), 2 / len(sandbox.pictures("test")))
    difference = state_difference(load_file(checkpoint), network.state_dict())
    yield within("weights after the last step", difference, 2e-3, " of largest")


def theirs(sandbox):
    """Trains as PyTorch programs do. Returns each step's loss, the test loss and accuracy after each whole epoch and at
    the end (in the middle of an epoch), and the network."""
    train, test = sandbox.pictures("train"), sandbox.pictures("test")
    torch.manual_seed(0)
    network = Article(train.images.shape[1], train.images.shape[2])
    training = DataLoader(train, batch_size=64, shuffle=True, drop_last=True)
    testing = DataLoader(test, batch_size=64)
    loss_function = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    losses, tests = [], []
    while True:
        network.train()
        for images, labels in training:
            optimizer.zero_grad()
            loss = loss_function(network(images), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if len(losses) == STEPS:
                tests.append(evaluate(network, testing, loss_function, torch.device("cpu")))
                return losses, tests, network
        tests.append(evaluate(network, testing, loss_function, torch.device("cpu")))
