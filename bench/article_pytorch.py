#!/usr/bin/env python3
"""The article's training program on PyTorch, as its readers would run it, and the time of each epoch.

Usage: article_pytorch.py CIFAR_FOLDER [--epochs N] [--threads N] [--workers N]

Reads CIFAR-10's binary version (data_batch_1.bin ... test_batch.bin). Like torchvision's CIFAR10 it hands each
image to ToTensor as a PIL image and lets DataLoader put batches together. Prints a CSV row for each epoch:
epoch,train_seconds,test_seconds,test_loss,test_accuracy. --epochs 0 evaluates the untrained network, in one row.
"""
import argparse
import pathlib
import time

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import ToTensor


class Cifar10(Dataset):
    """The binary version: records of a label byte and 3,072 pixel bytes, channels first."""

    def __init__(self, folder, pattern):
        files = sorted(folder.glob(pattern))
        if not files:
            raise SystemExit(f"{folder}: no {pattern} here; the bench needs CIFAR-10's binary version")
        records = np.concatenate([np.fromfile(file, np.uint8) for file in files]).reshape(-1, 1 + 3 * 32 * 32)
        self.labels = records[:, 0].tolist()
        self.images = np.ascontiguousarray(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        self.to_tensor = ToTensor()

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.to_tensor(Image.fromarray(self.images[index])), self.labels[index]


def article_network(channels=3, size=32):
    return nn.Sequential(
        nn.Conv2d(channels, 32, 5, padding=2),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 5, padding=2),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * (size // 8) ** 2, 64),
        nn.Linear(64, 10),
    )


def train_epoch(network, loader, loss_function, optimizer, device):
    network.train()
    for images, labels in loader:
        optimizer.zero_grad()
        loss = loss_function(network(images.to(device)), labels.to(device))
        loss.backward()
        optimizer.step()
        loss.item()


def evaluate(network, loader, loss_function, device):
    """The article's two metrics: the sum of the batches' losses, and the share of correct predictions."""
    network.eval()
    total_loss, correct = 0.0, 0
    with torch.no_grad():
        for images, labels in loader:
            labels = labels.to(device)
            logits = network(images.to(device))
            total_loss += loss_function(logits, labels).item()
            correct += (logits.argmax(1) == labels).sum().item()
    return total_loss, correct / len(loader.dataset)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--threads", type=int, help="for computing [default: PyTorch's]")
    parser.add_argument("--workers", type=int, default=0, help="loader processes [default: %(default)s, as the article]")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    device = torch.device(args.device)
    options = {"batch_size": 64, "num_workers": args.workers}
    test = DataLoader(Cifar10(args.folder, "test_batch.bin"), **options)
    network, loss_function = article_network().to(device), nn.CrossEntropyLoss().to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    print("epoch,train_seconds,test_seconds,test_loss,test_accuracy")
    if not args.epochs:
        start = time.perf_counter()
        loss, accuracy = evaluate(network, test, loss_function, device)
        print(f"0,0.000,{time.perf_counter() - start:.3f},{loss:.4f},{accuracy:.4f}")
        return
    training = DataLoader(Cifar10(args.folder, "data_batch_*.bin"), shuffle=True, drop_last=True, **options)
    for epoch in range(1, args.epochs + 1):
        start = time.perf_counter()
        train_epoch(network, training, loss_function, optimizer, device)
        trained = time.perf_counter()
        loss, accuracy = evaluate(network, test, loss_function, device)
        tested = time.perf_counter()
        print(f"{epoch},{trained - start:.3f},{tested - trained:.3f},{loss:.4f},{accuracy:.4f}", flush=True)


if __name__ == "__main__":
    main()
