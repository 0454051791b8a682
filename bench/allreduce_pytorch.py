#!/usr/bin/env python3
"""Median seconds of torch.distributed.all_reduce of float32 numbers between two processes of one thread.

Usage: allreduce_pytorch.py --elements N --rounds N --port P
"""
import argparse
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

SIZE = 2


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--elements", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    mp.spawn(work, (parser.parse_args(),), SIZE)


def work(rank, args):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{args.port}", rank=rank, world_size=SIZE)
    tensor = torch.zeros(args.elements)
    dist.all_reduce(tensor)
    seconds = []
    for _ in range(args.rounds):
        start = time.perf_counter()
        dist.all_reduce(tensor)
        seconds.append(time.perf_counter() - start)
    if rank == 0:
        print(sorted(seconds)[args.rounds // 2])
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
