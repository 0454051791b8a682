//! Checkpoints, the article's two ways, as safetensors files.
//!
//! *Full*: the state dict, with the [`Spec`] as JSON under the key `torchmill` of the file's metadata.
//! *Weights only*: the state dict alone. Either way the tensors are named, shaped and laid out as PyTorch's,
//! so `load_state_dict(load_file(path))` works with `strict=True`. Read are these, and
//! the state dicts that `torch.save` writes, told by their first bytes.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tch::{Device, Kind, Tensor, no_grad};
use torchmill::{Context, Error, Result, atomic};

use crate::model::Model;
use crate::spec::Spec;
use crate::{torch_error, torch_save};

/// The metadata key that holds the spec. There is no other, since their order in a file
/// would be random.
const KEY: &str = "torchmill";

/// What was read from a checkpoint.
pub struct Checkpoint {
    /// The tensors by name, on the CPU.
    pub tensors: Vec<(String, Tensor)>,
    /// The network's structure, where the file holds it.
    pub spec: Option<Spec>,
}

/// The checkpoint's bytes: full with a spec, weights only without one.
pub fn encode(model: &Model, spec: Option<&Spec>) -> Result<Vec<u8>> {
    let mut arrays = Vec::new();
    for named in model.state_dict() {
        let tensor = no_grad(|| named.tensor.to_device(Device::Cpu).contiguous());
        let (dtype, bytes) = match tensor.kind() {
            Kind::Int64 => (Dtype::I64, raw::<i64, 8>(&tensor, i64::to_le_bytes)?),
            _ => (Dtype::F32, raw::<f32, 4>(&tensor, f32::to_le_bytes)?),
        };
        let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
        arrays.push((named.name.clone(), dtype, shape, bytes));
    }
    let views = arrays.iter().map(|(name, dtype, shape, bytes)| {
        TensorView::new(*dtype, shape.clone(), bytes)
            .map(|view| (name, view))
            .map_err(Error::failed)
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let metadata = spec
        .map(|s| Ok::<_, Error>(HashMap::from([(KEY.to_owned(), s.to_json()?)])))
        .transpose()?;
    safetensors::serialize(views, metadata)
        .map_err(|e| Error::failed(format_args!("the checkpoint: {e}")))
}

/// Writes a checkpoint, complete or not at all, and returns the CRC-32C of its bytes.
pub fn write(path: &Path, model: &Model, spec: Option<&Spec>) -> Result<u32> {
    let bytes = encode(model, spec)?;
    atomic::write(path, &bytes)?;
    Ok(checksum(&bytes))
}

/// The CRC-32C of a checkpoint file's bytes, by which its training state knows it.
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// Reads a checkpoint: safetensors, or a state dict that `torch.save` wrote.
pub fn read(path: &Path) -> Result<Checkpoint> {
    let by_name = || path.extension().is_some_and(|e| e == "pt" || e == "pth");
    // Lightning's .ckpt and many another name hold what torch.save writes.
    if torch_save::is_one(path)? || by_name() {
        read_torch_save(path)
    } else {
        read_safetensors(path)
    }
}

fn read_safetensors(path: &Path) -> Result<Checkpoint> {
    let bytes = std::fs::read(path).doing("read", path)?;
    decode(&bytes).map_err(|e| e.within(path.display()))
}

/// Reads a checkpoint from a safetensors file's bytes.
pub fn decode(bytes: &[u8]) -> Result<Checkpoint> {
    let damaged = |e: safetensors::SafeTensorError| {
        Error::failed(format_args!(
            "is not a whole safetensors file ({e}): it is damaged or something else"
        ))
    };
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let spec = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
    let spec = spec.map(|text| Spec::from_json(text)).transpose()?;
    let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let mut tensors = Vec::new();
    for (name, view) in file.iter() {
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::F64 => Kind::Double,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            Dtype::I64 => Kind::Int64,
            other => {
                return Err(Error::failed(format_args!(
                    "`{name}` is {other:?}: a state dict's are floats"
                )));
            }
        };
        let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        let tensor = Tensor::f_from_data_size(view.data(), &shape, kind)
            .map_err(|e| torch_error(&e))?;
        tensors.push((name.to_owned(), tensor));
    }
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Checkpoint { tensors, spec })
}

fn read_torch_save(path: &Path) -> Result<Checkpoint> {
    let tensors = torch_save::read(path)?;
    let tensors = tensors.into_iter().map(|saved| {
        let kind = match saved.dtype {
            torch_save::DType::Float32 => Kind::Float,
            torch_save::DType::Float64 => Kind::Double,
            torch_save::DType::Float16 => Kind::Half,
            torch_save::DType::BFloat16 => Kind::BFloat16,
            torch_save::DType::Int64 => Kind::Int64,
        };
        let tensor = Tensor::f_from_data_size(&saved.bytes, &saved.shape, kind)
            .map_err(|e| torch_error(&e))?;
        Ok((saved.name, tensor))
    });
    Ok(Checkpoint {
        tensors: tensors.collect::<Result<_>>().map_err(|e| e.within(path.display()))?,
        spec: None,
    })
}

/// A contiguous CPU tensor's elements as little-endian bytes.
fn raw<T: tch::kind::Element + Default + Copy, const SIZE: usize>(
    tensor: &Tensor,
    bytes: impl Fn(T) -> [u8; SIZE],
) -> Result<Vec<u8>> {
    let mut values = vec![T::default(); tensor.numel()];
    tensor.f_copy_data(&mut values, tensor.numel()).map_err(|e| torch_error(&e))?;
    Ok(values.into_iter().flat_map(bytes).collect())
}
