"""Makes the event files in this folder with other writers: `python make.py` here.

pytorch.tfevents    torch.utils.tensorboard.SummaryWriter (torch 2.11): simple_value, new_style tensors in
                    float32 and float64, and what is no scalar
tensorflow2.tfevents  what tf.summary.scalar and Keras's TensorBoard callback write, made with TensorBoard 2.21's
                    own messages: the values in float_val, in tensor_content, and in other types; metadata in
                    each tag's first value only
"""

import glob
import shutil
import struct

import torch
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2
from tensorboard.plugins.scalar import metadata
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter

writer = SummaryWriter("made")
for step in range(4):
    writer.add_scalar("loss", 1 / (step + 1), step, walltime=1000.25 + step)
writer.add_scalar("new style", 0.1, 3, walltime=1004, new_style=True)
writer.add_scalar("double", 0.1, 3, walltime=1004, new_style=True, double_precision=True)
writer.add_scalar("odd", float("nan"), -5, walltime=1005)
writer.add_histogram("histogram", torch.arange(3.0), 1, walltime=1005)
writer.add_image("image", torch.zeros(3, 2, 2), 1, walltime=1005)
writer.add_text("text", "hello", 1, walltime=1005)
writer.close()
shutil.move(glob.glob("made/events*")[0], "pytorch.tfevents")
shutil.rmtree("made")

dim = tensor_shape_pb2.TensorShapeProto.Dim
shape = tensor_shape_pb2.TensorShapeProto()
one = tensor_shape_pb2.TensorShapeProto(dim=[dim(size=1)])
one_one = tensor_shape_pb2.TensorShapeProto(dim=[dim(size=1), dim(size=1)])
tensors = [
    tensor_pb2.TensorProto(dtype=1, tensor_shape=shape, float_val=[0.1]),
    tensor_pb2.TensorProto(dtype=1, tensor_shape=shape, tensor_content=struct.pack("<f", 0.2)),
    tensor_pb2.TensorProto(dtype=2, tensor_shape=shape, tensor_content=struct.pack("<d", 0.3)),
    tensor_pb2.TensorProto(dtype=3, tensor_shape=shape, int_val=[-4]),
    tensor_pb2.TensorProto(dtype=9, tensor_shape=shape, tensor_content=struct.pack("<q", 5)),
    tensor_pb2.TensorProto(dtype=19, tensor_shape=shape, half_val=[0x3800]),
    tensor_pb2.TensorProto(dtype=14, tensor_shape=shape, half_val=[0x4040]),
    tensor_pb2.TensorProto(dtype=17, tensor_shape=shape, int_val=[65535]),
    tensor_pb2.TensorProto(dtype=17, tensor_shape=shape, tensor_content=struct.pack("<H", 65534)),
    tensor_pb2.TensorProto(dtype=22, tensor_shape=shape, uint32_val=[2**32 - 1]),
    tensor_pb2.TensorProto(dtype=22, tensor_shape=shape, tensor_content=struct.pack("<I", 2**32 - 2)),
    tensor_pb2.TensorProto(dtype=23, tensor_shape=shape, uint64_val=[2**53]),
    tensor_pb2.TensorProto(dtype=23, tensor_shape=shape, tensor_content=struct.pack("<Q", 2**53 - 2)),
    tensor_pb2.TensorProto(dtype=1, tensor_shape=one, float_val=[0.25]),
    tensor_pb2.TensorProto(dtype=2, tensor_shape=one_one, tensor_content=struct.pack("<d", 0.75)),
]
vector = tensor_shape_pb2.TensorShapeProto(dim=[dim(size=2)])
with open("tensorflow2.tfevents", "wb") as file:
    records = RecordWriter(file)
    records.write(event_pb2.Event(wall_time=1.0, file_version="brain.Event:2").SerializeToString())
    for step, tensor in enumerate(tensors):
        first = metadata.create_summary_metadata("", "") if step == 0 else None
        value = summary_pb2.Summary.Value(tag="epoch_loss", metadata=first, tensor=tensor)
        event = event_pb2.Event(wall_time=2.0 + step, step=step, summary=summary_pb2.Summary(value=[value]))
        records.write(event.SerializeToString())
    two = tensor_pb2.TensorProto(dtype=1, tensor_shape=vector, float_val=[1, 2])
    value = summary_pb2.Summary.Value(tag="vector", tensor=two)
    records.write(event_pb2.Event(wall_time=9.0, summary=summary_pb2.Summary(value=[value])).SerializeToString())
