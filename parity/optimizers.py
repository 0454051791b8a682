"""Every optimizer and schedule: 100 steps of `train` with a linear network, against torch.optim on the same batches.

Colour images are reduced to 4x4 pixels: with thousands of inputs the larger of these learning rates diverge, and in a
run that diverges any rounding difference becomes as large as the weights.

The optimizers and schedules are those of crates/torchmill-nn/tests/golden/nn.py, in TOML and in PyTorch.
"""
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader
from sandbox import Row, relative, script, state_difference, within

EPOCHS, BATCHES, BATCH_SIZE, EVALUATED = 20, 5, 16, 8

RECIPE = f"""
name = "linear"
[model]
layer = [{{ type = "AdaptiveAvgPool2d", output_size = SIDE }}, {{ type = "Flatten" }}, {{ type = "Linear" }}]
[checkpoints]
keep = 1
[train]
epochs = {EPOCHS}
batch_size = {BATCH_SIZE}
limit_train_batches = {BATCHES}
limit_eval_batches = {EVALUATED}
"""
# The optimizer of the golden schedules, with which a missing step of a schedule is visible.
SCHEDULED = '{type="SGD", lr=0.1, momentum=0.9}'


def compare_optimizers(sandbox):
    for toml, make in script("crates/torchmill-nn/tests/golden/nn.py").OPTIMIZERS:
        ours, _ = trained(sandbox, f"optimizer = {toml}")
        theirs, _ = Linear(sandbox).train(make)
        yield within(short(toml), state_difference(ours, theirs), 1e-4, " of largest")


def compare_schedules(sandbox):
    golden = script("crates/torchmill-nn/tests/golden/nn.py")
    golden.EPOCHS, golden.BATCHES = EPOCHS, BATCHES
    for toml, make, unit in golden.SCHEDULES:
        ours, rates = trained(sandbox, f"optimizer = {SCHEDULED}\n{toml}")
        sgd = lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
        theirs, expected = Linear(sandbox).train(sgd, make, unit)
        name = short(toml.replace("schedule=", ""))
        if len(set(expected)) < 2:
            yield Row(name, "the rate never changed", "", False)
            continue
        yield within(f"{name}: rates", relative(rates, expected), 1e-9, " of it")
        yield within("    and weights", state_difference(ours, theirs), 1e-4, " of largest")


def trained(sandbox, keys):
    """The state dict of torchmill's run with these keys in [train], and the learning rate of each epoch's last step."""
    recipe = sandbox.work / "linear.toml"
    recipe.write_text(RECIPE.replace("SIDE", str(side(sandbox.pictures("test").images))) + keys + "\n")
    checkpoint, curves = sandbox.train("linear", "--recipe", recipe, "--data", sandbox.shards(), "--seed", 0)
    return load_file(checkpoint), curves["x/learning rate"]


def side(images):
    """The height and width of [N, C, H, W] images for the network, in pixels."""
    return images.shape[2] if images.shape[1] == 1 else 4


class Linear:
    """The same in PyTorch."""

    def __init__(self, sandbox):
        self.train_set, test = sandbox.pictures("train"), sandbox.pictures("test")
        self.side = side(test.images)
        evaluated = BATCH_SIZE * EVALUATED
        self.images, self.labels = test.images[:evaluated].float().div(255), test.labels[:evaluated]

    def train(self, make_optimizer, make_schedule=None, unit=None):
        torch.manual_seed(0)
        network = nn.Sequential(nn.AdaptiveAvgPool2d(self.side), nn.Flatten(), nn.Linear(self.side**2 * self.images.shape[1], 10))
        loss_function = nn.CrossEntropyLoss()
        training = DataLoader(self.train_set, batch_size=BATCH_SIZE, shuffle=True, drop_last=True)
        testing = DataLoader(self.train_set)
        optimizer = make_optimizer(network.parameters())
        schedule = make_schedule(optimizer) if make_schedule else None
        rates = []
        for epoch in range(EPOCHS):
            for batch, (images, labels) in zip(range(BATCHES), training):
                rate = optimizer.param_groups[0]["lr"]
                optimizer.zero_grad()
                loss_function(network(images), labels).backward()
                optimizer.step()
                # OneCycleLR refuses to be stepped after the last batch.
                if unit == "batch" and epoch * BATCHES + batch + 1 < EPOCHS * BATCHES:
                    schedule.step()
            rates.append(rate)
            iter(testing)  # draws a number from the default generator, as any evaluation does
            if unit == "epoch":
                schedule.step()
            elif unit in ("loss", "accuracy"):
                with torch.no_grad():
                    logits = network(self.images)
                accuracy = (logits.argmax(1) == self.labels).double().mean().item()
                schedule.step(loss_function(logits, self.labels).item() if unit == "loss" else accuracy)
        return network.state_dict(), rates


def short(toml):
    return toml.replace('{type="', "").replace('"', "").replace("}", "").replace("{", "").replace("\n", ", ")
