"""Builds the nn.Module of a torchmill checkpoint from the spec in its metadata, and loads the weights.

    net, spec = load("runs/first/checkpoints/best.safetensors")
    logits = net.eval()(images)          # images after spec["transform"]

Run as a program, it writes ONNX or TorchScript:  python torchmill_net.py CHECKPOINT OUT.onnx|OUT.pt
"""
import json
import sys

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F


def load(path):
    """The network with its weights, and the spec: input shape, classes, transform."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
    spec = json.loads(metadata.get("torchmill", "{}"))
    if "model" not in spec:
        raise SystemExit(f"{path} is a plain state dict (--weights-only), which does not say what network it is")
    state = load_file(path)
    net = Net(spec["model"], {name: tensor.shape for name, tensor in state.items()})
    net.load_state_dict(state)  # strict: the names must match exactly
    return net, spec


class Net(nn.Module):
    """Layers by torch.nn's names. Sizes that the recipe left out come from the weights."""

    def __init__(self, model, shapes):
        super().__init__()
        self.shapes = shapes
        self.run = self.row(model["layer"], model.get("attribute", ""))

    def forward(self, x):
        return self.run(x)

    def row(self, layers, path, kind=""):
        names = (layer.get("name", f"{kind}{i}") for i, layer in enumerate(layers))
        return chain([self.layer(layer, f"{path}.{name}".strip(".")) for layer, name in zip(layers, names)])

    def layer(self, layer, path):
        a, kind = dict(layer), layer["type"]
        for key in ("type", "name", "initialise"):
            a.pop(key, None)
        shape = self.shapes.get(f"{path}.weight", self.shapes.get(f"{path}.running_mean", ()))
        match kind:
            case "Sequential":
                return self.row(a["layer"], path)
            case "Repeat":
                return chain([self.row(a["layer"], f"{path}.{i}") for i in range(a["times"])])
            case "Residual":
                inner = self.row(a["layer"], path, "layers.")
                shortcut = self.row(a.get("shortcut", []), path, "shortcut.")
                return lambda x: shortcut(x) + inner(x)
            case "Gate":
                inner = self.row(a["layer"], path)
                return lambda x: x * inner(x)
            case "LayerScale" | "ClassToken" | "PositionEmbedding":
                parameter = self.add(path, nn.Parameter(torch.zeros(self.shapes[path])))
                token = lambda x: torch.cat([parameter().expand(x.shape[0], -1, -1), x], 1)
                return {"LayerScale": lambda x: x * parameter(), "ClassToken": token,
                        "PositionEmbedding": lambda x: x + parameter()}[kind]
            case "Permute":
                return lambda x: x.permute(a["dims"])
            case "Scale":
                return lambda x: a["factor"] * x
            case "Select":
                return lambda x: x.select(a["dim"], a["index"])
            case "StochasticDepth":  # drops whole images
                return lambda x: x * F.dropout(x.new_ones(x.shape[0], *[1] * (x.dim() - 1)), a["p"], self.training)
            case "LayerNorm2d":
                norm = self.add(path, nn.LayerNorm(shape, a["eps"]))
                return lambda x: norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            case "LayerNorm" if not shape and "normalized_shape" not in a:
                return lambda x: F.layer_norm(x, x.shape[-1:], eps=a["eps"])
            case "MultiheadAttention":
                size = self.shapes[f"{path}.out_proj.weight"][0]
                module = nn.MultiheadAttention(size, a["num_heads"], a["dropout"], batch_first=True)
                attention = self.add(path, module)
                return lambda x: attention(x, x, x, need_weights=False)[0]
        inferred = {
            "Conv2d": lambda: {"in_channels": shape[1] * a["groups"]},
            "Linear": lambda: {"in_features": shape[1], "out_features": shape[0]},
            "BatchNorm2d": lambda: {"num_features": shape[0] if shape else 0},
            "GroupNorm": lambda: {"num_channels": shape[0] if shape else a["num_groups"]},
            "LayerNorm": lambda: {"normalized_shape": shape},
        }
        return self.add(path, getattr(nn, kind)(**{**inferred.get(kind, dict)(), **a}))

    def add(self, path, part):
        """Adds a module or parameter to the tree and returns the function that computes it."""
        *parents, name = path.split(".")
        at = self
        for parent in parents:
            at.add_module(parent, at._modules.get(parent, nn.Module()))
            at = at._modules[parent]
        if isinstance(part, nn.Parameter):
            at.register_parameter(name, part)
            return lambda: getattr(at, name)
        while name in at._modules:  # layers without weights may share a name
            name += "_"
        at.add_module(name, part)
        return part


def chain(calls):
    def run(x):
        for call in calls:
            x = call(x)
        return x
    return run


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: python torchmill_net.py CHECKPOINT OUT.onnx|OUT.pt")
    net, spec = load(sys.argv[1])
    example = torch.zeros(2, *spec["input"])
    with torch.no_grad():  # with gradients, MultiheadAttention uses other code when the trace is checked
        if sys.argv[2].endswith(".onnx"):
            torch.onnx.export(net.eval(), example, sys.argv[2], dynamic_shapes=[{0: "batch"}])
        else:
            torch.jit.trace(net.eval(), example).save(sys.argv[2])
