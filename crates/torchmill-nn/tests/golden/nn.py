"""Makes nn.json: PyTorch's results for every layer, loss, optimizer and schedule, for tests/integration/pytorch.rs.

    python3 nn.py > nn.json     # torch==2.11.0
"""

import json

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Muon, RMSprop, lr_scheduler

torch.set_num_threads(1)


def wave(*shape):
    """Reproducible numbers: sin(0), sin(1), ..."""
    return torch.arange(torch.tensor(shape).prod().item(), dtype=torch.float64).sin().float().reshape(shape)


class Residual(nn.Module):
    def __init__(self, layers, shortcut):
        super().__init__()
        self.layers, self.shortcut = nn.Sequential(*layers()), nn.Sequential(*shortcut())

    def forward(self, x):
        return self.layers(x) + self.shortcut(x)


class Gate(nn.Sequential):
    def forward(self, x):
        return x * super().forward(x)


class Attention(nn.MultiheadAttention):
    def forward(self, x):
        return super().forward(x, x, x, need_weights=False)[0]


class Scaled(nn.Module):
    """A Sequential with one LayerScale, whose parameter has the layer's own name."""

    def __init__(self, channels, init):
        super().__init__()
        self.register_parameter("0", nn.Parameter(torch.full((channels, 1, 1), init)))

    def forward(self, x):
        return getattr(self, "0") * x


class Scale(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


class Tokens(nn.Sequential):
    """Flattens to tokens, with ClassToken and PositionEmbedding after it, whose parameters have the layers' own names."""

    def __init__(self, count, size):
        super().__init__(nn.Flatten(2))
        self.register_parameter("1", nn.Parameter(torch.zeros(1, 1, size)))
        self.register_parameter("2", nn.Parameter(torch.empty(1, count + 1, size).normal_(0, 0.02)))

    def forward(self, x):
        x = super().forward(x)
        token, embedding = (getattr(self, name) for name in "12")
        return torch.cat([token.expand(len(x), -1, -1), x], 1) + embedding


class Permute(nn.Module):
    def __init__(self, *dims):
        super().__init__()
        self.dims = dims

    def forward(self, x):
        return x.permute(self.dims)


class Select(nn.Module):
    def __init__(self, dim, index):
        super().__init__()
        self.dim, self.index = dim, index

    def forward(self, x):
        return x.select(self.dim, self.index)


class Norm2d(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


# The recipe's layers as TOML, the input's shape, and the same layers in PyTorch (created after the seed is set).
LAYERS = [
    ('{type="Conv2d", out_channels=4, kernel_size=3}', (3, 6, 6), lambda: nn.Conv2d(3, 4, 3)),
    ('{type="Conv2d", out_channels=6, kernel_size=[3, 2], stride=[2, 1], padding=[1, 0], dilation=[1, 2], groups=2, bias=false}',
     (4, 7, 6), lambda: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2, False)),
    ('{type="Conv2d", out_channels=2, kernel_size=4, padding="same"}', (2, 5, 5), lambda: nn.Conv2d(2, 2, 4, padding="same")),
    ('{type="Conv2d", out_channels=2, kernel_size=3, padding="valid"}', (2, 5, 5), lambda: nn.Conv2d(2, 2, 3, padding="valid")),
    ('{type="Conv2d", out_channels=2, kernel_size=3, padding=1, padding_mode="reflect"}', (2, 5, 5),
     lambda: nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect")),
    ('{type="Conv2d", out_channels=2, kernel_size=3, padding=2, padding_mode="replicate"}', (2, 5, 5),
     lambda: nn.Conv2d(2, 2, 3, padding=2, padding_mode="replicate")),
    ('{type="Conv2d", out_channels=2, kernel_size=3, padding=[2, 1], padding_mode="circular"}', (2, 5, 5),
     lambda: nn.Conv2d(2, 2, 3, padding=(2, 1), padding_mode="circular")),
    ('{type="MaxPool2d", kernel_size=3, stride=2, padding=1}', (2, 7, 7), lambda: nn.MaxPool2d(3, 2, 1)),
    ('{type="MaxPool2d", kernel_size=2, ceil_mode=true, dilation=2}', (2, 7, 7), lambda: nn.MaxPool2d(2, dilation=2, ceil_mode=True)),
    ('{type="AvgPool2d", kernel_size=3, stride=2, padding=1, count_include_pad=false}', (2, 7, 7),
     lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
    ('{type="AvgPool2d", kernel_size=2}', (2, 7, 7), lambda: nn.AvgPool2d(2)),
    ('{type="AdaptiveAvgPool2d", output_size=[2, 3]}', (2, 7, 7), lambda: nn.AdaptiveAvgPool2d((2, 3))),
    ('{type="BatchNorm2d", momentum=0.3}', (3, 4, 4), lambda: nn.BatchNorm2d(3, momentum=0.3)),
    ('{type="BatchNorm2d", affine=false, track_running_stats=false}', (3, 4, 4),
     lambda: nn.BatchNorm2d(3, affine=False, track_running_stats=False)),
    ('{type="GroupNorm", num_groups=2}', (4, 3, 3), lambda: nn.GroupNorm(2, 4)),
    ('{type="LayerNorm", normalized_shape=[3, 3]}', (4, 3, 3), lambda: nn.LayerNorm((3, 3))),
    ('{type="LayerNorm", bias=false}', (4, 3, 3), lambda: nn.LayerNorm(3, bias=False)),
    ('{type="Linear", out_features=5}', (2, 3, 4), lambda: nn.Linear(4, 5)),
    ('{type="Linear", out_features=5, bias=false}', (1, 1, 4), lambda: nn.Linear(4, 5, bias=False)),
    ('{type="Flatten"}', (2, 3, 4), lambda: nn.Flatten()),
    ('{type="Flatten", start_dim=2, end_dim=3}', (2, 3, 4), lambda: nn.Flatten(2, 3)),
    ('{type="ReLU"}', (1, 3, 3), lambda: nn.ReLU()),
    ('{type="LeakyReLU", negative_slope=0.2}', (1, 3, 3), lambda: nn.LeakyReLU(0.2)),
    ('{type="GELU"}', (1, 3, 3), lambda: nn.GELU()),
    ('{type="GELU", approximate="tanh"}', (1, 3, 3), lambda: nn.GELU("tanh")),
    ('{type="SiLU"}', (1, 3, 3), lambda: nn.SiLU()),
    ('{type="Tanh"}', (1, 3, 3), lambda: nn.Tanh()),
    ('{type="Sigmoid"}', (1, 3, 3), lambda: nn.Sigmoid()),
    ('{type="Softmax", dim=1}', (3, 2, 2), lambda: nn.Softmax(1)),
    ('{type="LogSoftmax", dim=1}', (3, 2, 2), lambda: nn.LogSoftmax(1)),
    ('{type="Identity"}', (1, 2, 2), lambda: nn.Identity()),
    ('{type="ReLU6"}', (1, 3, 3), lambda: nn.ReLU6()),
    ('{type="Hardswish"}', (1, 3, 3), lambda: nn.Hardswish()),
    ('{type="Hardsigmoid"}', (1, 3, 3), lambda: nn.Hardsigmoid()),
    ('{type="AvgPool2d", kernel_size=2, divisor_override=3}', (2, 4, 4), lambda: nn.AvgPool2d(2, divisor_override=3)),
    ('{type="Dropout", p=0.0}', (1, 2, 2), lambda: nn.Dropout(0.0)),
    ('{type="Sequential", layer=[{type="Conv2d", out_channels=2, kernel_size=2}, {type="Tanh"}]}', (2, 4, 4),
     lambda: nn.Sequential(nn.Conv2d(2, 2, 2), nn.Tanh())),
    ('{type="Residual", layer=[{type="Conv2d", out_channels=4, kernel_size=3, padding=1}, {type="ReLU"}], '
     'shortcut=[{type="Conv2d", out_channels=4, kernel_size=1}]}', (2, 4, 4),
     lambda: Residual(lambda: [nn.Conv2d(2, 4, 3, padding=1), nn.ReLU()], lambda: [nn.Conv2d(2, 4, 1)])),
    # Batch norm with layers that train fuses with it, and layers that it must not fuse.
    ('{type="Sequential", layer=[{type="Conv2d", out_channels=3, kernel_size=3, padding=1, bias=false}, {type="BatchNorm2d"}, '
     '{type="ReLU"}, {type="ReLU"}]}', (2, 5, 4),
     lambda: nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.ReLU())),
    ('{type="Sequential", layer=[{type="BatchNorm2d"}, {type="Sequential", layer=[{type="ReLU"}]}]}', (3, 4, 4),
     lambda: nn.Sequential(nn.BatchNorm2d(3), nn.Sequential(nn.ReLU()))),
    ('{type="Sequential", layer=[{type="Sequential", layer=[{type="BatchNorm2d"}]}, {type="ReLU"}]}', (3, 4, 4),
     lambda: nn.Sequential(nn.Sequential(nn.BatchNorm2d(3)), nn.ReLU())),
    ('{type="Residual", layer=[{type="BatchNorm2d", affine=false}]}', (3, 4, 4),
     lambda: Residual(lambda: [nn.BatchNorm2d(3, affine=False)], lambda: [])),
    ('{type="Sequential", layer=[{type="Residual", layer=[{type="Conv2d", out_channels=4, kernel_size=3, stride=2, padding=1, bias=false}, '
     '{type="BatchNorm2d"}, {type="ReLU"}, {type="Conv2d", out_channels=4, kernel_size=3, padding=1}, {type="BatchNorm2d"}], '
     'shortcut=[{type="Conv2d", out_channels=4, kernel_size=1, stride=2}, {type="BatchNorm2d"}]}, {type="ReLU"}, '
     '{type="Residual", layer=[{type="Conv2d", out_channels=4, kernel_size=3, padding=1}, {type="BatchNorm2d", '
     'track_running_stats=false}]}, {type="ReLU"}]}', (2, 6, 6),
     lambda: nn.Sequential(
         Residual(
             lambda: [nn.Conv2d(2, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1),
                      nn.BatchNorm2d(4)],
             lambda: [nn.Conv2d(2, 4, 1, 2), nn.BatchNorm2d(4)]),
         nn.ReLU(),
         Residual(lambda: [nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4, track_running_stats=False)], lambda: []),
         nn.ReLU())),
    ('{type="Repeat", times=2, layer=[{type="Linear", out_features=3}, {type="ReLU"}]}', (1, 2, 3),
     lambda: nn.Sequential(*[nn.Sequential(nn.Linear(3, 3), nn.ReLU()) for _ in range(2)])),
    ('{type="Gate", layer=[{type="AdaptiveAvgPool2d", output_size=1}, {type="Conv2d", out_channels=3, kernel_size=1}, {type="Sigmoid"}]}',
     (3, 4, 4), lambda: Gate(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 3, 1), nn.Sigmoid())),
    ('{type="Sequential", layer=[{type="Flatten", start_dim=2}, {type="MultiheadAttention", num_heads=2}]}', (5, 2, 2),
     lambda: nn.Sequential(nn.Flatten(2), Attention(4, 2, batch_first=True))),
    ('{type="Sequential", layer=[{type="Flatten", start_dim=2}, {type="MultiheadAttention", num_heads=3}]}', (4, 2, 3),
     lambda: nn.Sequential(nn.Flatten(2), Attention(6, 3, batch_first=True))),
    ('{type="Sequential", layer=[{type="LayerScale", init=0.3}]}', (3, 2, 2), lambda: Scaled(3, 0.3)),
    ('{type="Scale", factor=0.25}', (2, 3, 3), lambda: Scale(0.25)),
    ('{type="LayerNorm2d", eps=1e-6}', (4, 3, 2), lambda: Norm2d(4, eps=1e-6)),
    ('{type="Sequential", layer=[{type="Flatten", start_dim=2}, {type="ClassToken"}, {type="PositionEmbedding"}]}', (3, 2, 2),
     lambda: Tokens(3, 4)),
    ('{type="Permute", dims=[0, 3, 1, 2]}', (2, 3, 4), lambda: Permute(0, 3, 1, 2)),
    ('{type="Select", dim=2, index=-1}', (2, 3, 4), lambda: Select(2, -1)),
    # Without PyTorch's random numbers in the forward pass, as for Dropout: nothing is dropped.
    ('{type="StochasticDepth", p=0.0}', (2, 3, 4), lambda: nn.Identity()),
]

OPTIMIZERS = [
    ('{type="SGD", lr=0.05}', lambda p: SGD(p, lr=0.05)),
    ('{type="SGD", lr=0.05, momentum=0.9, weight_decay=0.01}', lambda p: SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01)),
    ('{type="SGD", lr=0.05, momentum=0.9, nesterov=true}', lambda p: SGD(p, lr=0.05, momentum=0.9, nesterov=True)),
    ('{type="SGD", lr=0.05, momentum=0.9, dampening=0.5}', lambda p: SGD(p, lr=0.05, momentum=0.9, dampening=0.5)),
    ('{type="Adam"}', lambda p: Adam(p)),
    ('{type="Adam", lr=0.02, betas=[0.8, 0.99], weight_decay=0.1}', lambda p: Adam(p, lr=0.02, betas=(0.8, 0.99), weight_decay=0.1)),
    ('{type="AdamW", lr=0.02}', lambda p: AdamW(p, lr=0.02)),
    ('{type="Adam", lr=0.02, amsgrad=true}', lambda p: Adam(p, lr=0.02, amsgrad=True)),
    ('{type="AdamW", lr=0.02, amsgrad=true}', lambda p: AdamW(p, lr=0.02, amsgrad=True)),
    ('{type="RMSprop"}', lambda p: RMSprop(p)),
    ('{type="RMSprop", lr=0.002, alpha=0.9, weight_decay=0.1}', lambda p: RMSprop(p, lr=0.002, alpha=0.9, weight_decay=0.1)),
    ('{type="RMSprop", lr=0.002, momentum=0.9}', lambda p: RMSprop(p, lr=0.002, momentum=0.9)),
    ('{type="RMSprop", lr=0.002, centered=true}', lambda p: RMSprop(p, lr=0.002, centered=True)),
    ('{type="RMSprop", lr=0.002, momentum=0.5, centered=true, eps=1e-3}',
     lambda p: RMSprop(p, lr=0.002, momentum=0.5, centered=True, eps=1e-3)),
]

# torch.optim.Muon accepts only matrices. With flatten, it gets a filter [4, 2, 3, 2] as [4, 12].
MUON = [
    ('{type="Muon"}', lambda p: Muon(p)),
    ('{type="Muon", lr=0.01, momentum=0.6, nesterov=false, weight_decay=0.0}',
     lambda p: Muon(p, lr=0.01, momentum=0.6, nesterov=False, weight_decay=0.0)),
    ('{type="Muon", lr=0.01, weight_decay=0.5, adjust_lr_fn="original", ns_steps=3}',
     lambda p: Muon(p, lr=0.01, weight_decay=0.5, adjust_lr_fn="original", ns_steps=3)),
    ('{type="Muon", adjust_lr_fn="match_rms_adamw", ns_coefficients=[3.0, -4.0, 2.0], eps=1e-3}',
     lambda p: Muon(p, adjust_lr_fn="match_rms_adamw", ns_coefficients=(3.0, -4.0, 2.0), eps=1e-3)),
    ('{type="Muon", lr=0.01, flatten=true}', lambda p: Muon(p, lr=0.01)),
]

# The steps in which a gradient overflows in fp16.
OVERFLOWS = (0, 1, 30, 31, 77)

EPOCHS, BATCHES = 12, 3


def one_cycle(o, **arguments):
    return lr_scheduler.OneCycleLR(o, 0.4, epochs=EPOCHS, steps_per_epoch=BATCHES, **arguments)


def after_warmup(o, main):
    warmup = lr_scheduler.LinearLR(o, 0.25, total_iters=4)
    return lr_scheduler.SequentialLR(o, [warmup, main], milestones=[4])


# Keys of [train], the same schedule in PyTorch, and when it steps.
SCHEDULES = [
    ('schedule={type="StepLR", step_size=3, gamma=0.5}', lambda o: lr_scheduler.StepLR(o, 3, 0.5), "epoch"),
    ('schedule={type="MultiStepLR", milestones=[2, 7]}', lambda o: lr_scheduler.MultiStepLR(o, [2, 7]), "epoch"),
    ('schedule={type="ExponentialLR", gamma=0.8}', lambda o: lr_scheduler.ExponentialLR(o, 0.8), "epoch"),
    ('schedule={type="LinearLR", start_factor=1.0, end_factor=0.0}',
     lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, EPOCHS * BATCHES), "batch"),
    ('schedule={type="LinearLR", end_factor=0.5, total_iters=7}', lambda o: lr_scheduler.LinearLR(o, end_factor=0.5, total_iters=7), "batch"),
    ('schedule={type="CosineAnnealingLR"}', lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS), "epoch"),
    ('schedule={type="CosineAnnealingLR", T_max=5, eta_min=0.01}', lambda o: lr_scheduler.CosineAnnealingLR(o, 5, 0.01), "epoch"),
    ('schedule={type="CosineAnnealingWarmRestarts", T_0=5}', lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 5), "epoch"),
    ('schedule={type="CosineAnnealingWarmRestarts", T_0=2, T_mult=2, eta_min=0.01}',
     lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2, 2, 0.01), "epoch"),
    ('schedule={type="PolynomialLR", total_iters=9, power=2.0}', lambda o: lr_scheduler.PolynomialLR(o, 9, 2.0), "epoch"),
    ('schedule={type="PolynomialLR"}', lambda o: lr_scheduler.PolynomialLR(o, EPOCHS), "epoch"),
    ('schedule={type="OneCycleLR", max_lr=0.4, cycle_momentum=false}', lambda o: one_cycle(o, cycle_momentum=False), "batch"),
    ('schedule={type="OneCycleLR", max_lr=0.4}', lambda o: one_cycle(o), "batch"),
    ('schedule={type="OneCycleLR", max_lr=0.4, base_momentum=0.5, max_momentum=0.8, pct_start=0.5}',
     lambda o: one_cycle(o, base_momentum=0.5, max_momentum=0.8, pct_start=0.5), "batch"),
    ('warmup={epochs=4}', lambda o: lr_scheduler.LinearLR(o, total_iters=4), "epoch"),
    ('warmup={steps=10, start_factor=0.1}', lambda o: lr_scheduler.LinearLR(o, 0.1, total_iters=10), "batch"),
    ('warmup={epochs=4, start_factor=0.25}\nschedule={type="CosineAnnealingLR"}',
     lambda o: after_warmup(o, lr_scheduler.CosineAnnealingLR(o, EPOCHS - 4)), "epoch"),
    ('warmup={epochs=4, start_factor=0.25}\nschedule={type="StepLR", step_size=3}',
     lambda o: after_warmup(o, lr_scheduler.StepLR(o, 3)), "epoch"),
    ('warmup={epochs=4, start_factor=0.25}\nschedule={type="MultiStepLR", milestones=[2, 5]}',
     lambda o: after_warmup(o, lr_scheduler.MultiStepLR(o, [2, 5])), "epoch"),
    ('schedule={type="ReduceLROnPlateau", patience=2}', lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=2), "loss"),
    ('schedule={type="ReduceLROnPlateau", patience=0, cooldown=2, factor=0.5, min_lr=0.02, threshold_mode="abs", threshold=0.2}',
     lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0, cooldown=2, factor=0.5, min_lr=0.02, threshold_mode="abs", threshold=0.2),
     "loss"),
    ('schedule={type="ReduceLROnPlateau", metric="accuracy", patience=1}',
     lambda o: lr_scheduler.ReduceLROnPlateau(o, mode="max", patience=1), "accuracy"),
]

# The loss, whether labels are mixed, whether the network ends in LogSoftmax, and the loss in PyTorch for a reduction.
WEIGHT = torch.tensor([0.5, 1.0, 3.0])
LOSSES = [
    ('{type="CrossEntropyLoss"}', False, False, lambda r: nn.CrossEntropyLoss(reduction=r)),
    ('{type="CrossEntropyLoss", weight=[0.5, 1.0, 3.0], label_smoothing=0.2}', False, False,
     lambda r: nn.CrossEntropyLoss(WEIGHT, label_smoothing=0.2, reduction=r)),
    ('{type="CrossEntropyLoss", ignore_index=2}', False, False, lambda r: nn.CrossEntropyLoss(ignore_index=2, reduction=r)),
    ('{type="CrossEntropyLoss", ignore_index=0, weight=[0.5, 1.0, 3.0]}', False, False,
     lambda r: nn.CrossEntropyLoss(WEIGHT, ignore_index=0, reduction=r)),
    ('{type="CrossEntropyLoss", weight=[0.5, 1.0, 3.0], label_smoothing=0.1}', True, False,
     lambda r: nn.CrossEntropyLoss(WEIGHT, label_smoothing=0.1, reduction=r)),
    ('{type="NLLLoss"}', False, True, lambda r: nn.NLLLoss(reduction=r)),
    ('{type="NLLLoss", weight=[0.5, 1.0, 3.0], ignore_index=1}', False, True, lambda r: nn.NLLLoss(WEIGHT, ignore_index=1, reduction=r)),
    ('{type="MSELoss"}', False, False, lambda r: nn.MSELoss(reduction=r)),
    ('{type="MSELoss"}', True, False, lambda r: nn.MSELoss(reduction=r)),
    ('{type="L1Loss"}', False, False, lambda r: nn.L1Loss(reduction=r)),
    ('{type="L1Loss"}', True, False, lambda r: nn.L1Loss(reduction=r)),
    ('{type="BCEWithLogitsLoss"}', False, False, lambda r: nn.BCEWithLogitsLoss(reduction=r)),
    ('{type="BCEWithLogitsLoss", pos_weight=[0.5, 1.0, 3.0]}', True, False, lambda r: nn.BCEWithLogitsLoss(pos_weight=WEIGHT, reduction=r)),
]


def layers():
    for toml, shape, make in LAYERS:
        torch.manual_seed(3)
        module = make().train()
        x = wave(2, *shape).requires_grad_()
        y = module(x)
        (y * wave(*y.shape).cos()).sum().backward()
        trained = {n: p for n, p in module.named_parameters()}
        yield {
            "layer": toml, "input": shape, "output_shape": list(y.shape), "output": y.flatten().tolist(),
            "input_gradient": x.grad.flatten().tolist(),
            "gradients": {n: p.grad.flatten().tolist() for n, p in trained.items()},
            "state": {n: t.flatten().tolist() for n, t in module.state_dict().items()},
        }


def optimizers():
    for toml, make in OPTIMIZERS:
        parameters = [wave(5).requires_grad_(), wave(2, 3).requires_grad_()]
        optimizer = make(parameters)
        for step in range(100):
            optimizer.zero_grad()
            for p in parameters:
                p.grad = p.detach() * wave(p.numel()).add(1.2).reshape(p.shape) + 0.1 * torch.tensor(float(step)).sin()
            optimizer.step()
        yield {"optimizer": toml, "parameters": [p.detach().flatten().tolist() for p in parameters]}


def scaled():
    for toml, make in OPTIMIZERS:
        parameters = [wave(5).requires_grad_(), wave(2, 3).requires_grad_()]
        optimizer, scaler = make(parameters), torch.amp.GradScaler("cpu")
        for step in range(100):
            scale = scaler.scale(torch.ones(()))
            for p in parameters:
                gradient = p.detach() * wave(p.numel()).add(1.2).reshape(p.shape) + 0.1 * torch.tensor(float(step)).sin()
                p.grad = gradient * scale
            if step in OVERFLOWS:
                parameters[1].grad[1, 2] = torch.inf
            scaler.step(optimizer)
            scaler.update()
        yield {"optimizer": toml, "parameters": [p.detach().flatten().tolist() for p in parameters],
               "scale": scaler.get_scale()}


def muon():
    for toml, make in MUON:
        parameters = [wave(2, 3).requires_grad_(), wave(6, 4).requires_grad_()]
        if "flatten" in toml:
            parameters.append(wave(4, 2, 3, 2).reshape(4, 12).requires_grad_())
        optimizer = make(parameters)
        for step in range(20):
            for p in parameters:
                p.grad = p.detach() * wave(p.numel()).add(1.2).reshape(p.shape) + 0.1 * torch.tensor(float(step)).sin()
            optimizer.step()
        yield {"optimizer": toml, "parameters": [p.detach().flatten().tolist() for p in parameters]}


def schedules():
    for toml, make, unit in SCHEDULES:
        optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)
        schedule, rates, momenta = make(optimizer), [], []
        for epoch in range(EPOCHS):
            for _ in range(BATCHES):
                rates.append(optimizer.param_groups[0]["lr"])
                momenta.append(optimizer.param_groups[0]["momentum"])
                optimizer.step()
                if unit == "batch" and len(rates) < EPOCHS * BATCHES:
                    schedule.step()
            loss = 1 / (min(epoch, 3) + 1)
            if unit == "epoch":
                schedule.step()
            elif unit in ("loss", "accuracy"):
                schedule.step(loss if unit == "loss" else 1 - loss)
        yield {"train": toml, "rates": rates, "momenta": momenta}


def losses():
    for toml, mixed, log_softmax, make in LOSSES:
        outputs = wave(4, 3).requires_grad_()
        targets = wave(4, 3).softmax(1) if mixed else torch.tensor([2, 0, 1, 2])
        if any(name in toml for name in ("MSE", "L1", "BCE")):
            targets = targets if mixed else nn.functional.one_hot(targets, 3).float()
        inputs = outputs.log_softmax(1) if log_softmax else outputs
        mean = make("mean")(inputs, targets)
        mean.backward()
        each = make("none")(inputs, targets)
        yield {"loss": toml, "mixed": mixed, "log_softmax": log_softmax, "mean": mean.item(),
               "each": (each.mean(1) if each.dim() > 1 else each).tolist(), "gradient": outputs.grad.flatten().tolist()}


def clipped():
    for by, limit in [("norm", 1.5), ("norm", 100.0), ("value", 0.7)]:
        parameters = [torch.zeros(5), torch.zeros(2, 3)]
        parameters[0].grad, parameters[1].grad = wave(5), wave(2, 3) * 3
        if by == "norm":
            nn.utils.clip_grad_norm_(parameters, limit)
        else:
            nn.utils.clip_grad_value_(parameters, limit)
        yield {"by": by, "limit": limit, "gradients": [p.grad.flatten().tolist() for p in parameters]}


def rounded(value):
    """Nine digits represent a float32 exactly."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return {k: rounded(v) for k, v in value.items()} if isinstance(value, dict) else value


if __name__ == "__main__":
    golden = {f.__name__: list(f()) for f in (layers, optimizers, scaled, muon, schedules, losses, clipped)}
    print(json.dumps({k: [rounded(v) for v in values] for k, values in golden.items()}, separators=(",", ":")))
