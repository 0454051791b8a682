//! Writes a state dict in the format of `torch.save` since PyTorch 1.6, so that
//! `torch.load` reads it, also with `weights_only=True`.
//!
//! The file is a zip archive of uncompressed entries: a pickle of names, shapes and
//! strides, and the bytes of each tensor.

use std::io::{Cursor, Write};

use tch::{Device, Kind, Tensor};
use torchmill::{Error, Result};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::pickle_writer::PickleWriter;
use crate::tensor::{NamedTensor, f_bytes};
use crate::torch_error;

/// The alignment of tensors in PyTorch's own archives, so that they can be mapped.
const ALIGNMENT: u16 = 64;

/// Encodes the file. The tensors must be contiguous and on the CPU.
pub(crate) fn encode<'a>(
    tensors: impl Iterator<Item = &'a NamedTensor>,
) -> Result<Vec<u8>> {
    let mut pickle = PickleWriter::new();
    let mut storages = Vec::new();
    pickle.begin_dict();
    for named in tensors {
        let tensor = contiguous(&named.tensor)?;
        let storage = storage_class(tensor.kind())?;
        pickle.text(&named.name);
        pickle.tensor(storage, storages.len(), &tensor.size());
        storages.push(tensor);
    }
    let pickle = pickle.finish();
    archive(&pickle, &storages).map_err(|e| Error::failed(format_args!("zip: {e}")))?
}

fn contiguous(tensor: &Tensor) -> Result<Tensor> {
    let on_cpu = tensor.detach().f_to_device(Device::Cpu);
    on_cpu.and_then(|tensor| tensor.f_contiguous()).map_err(|e| torch_error(&e))
}

/// The torch storage class for this dtype.
fn storage_class(kind: Kind) -> Result<&'static str> {
    match kind {
        Kind::Float => Ok("FloatStorage"),
        Kind::Double => Ok("DoubleStorage"),
        Kind::Half => Ok("HalfStorage"),
        Kind::BFloat16 => Ok("BFloat16Storage"),
        Kind::Int64 => Ok("LongStorage"),
        other => Err(Error::failed(format_args!("no state dict holds {other:?}"))),
    }
}

fn archive(
    pickle: &[u8],
    storages: &[Tensor],
) -> zip::result::ZipResult<Result<Vec<u8>>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default())
        .with_alignment(ALIGNMENT);
    let mut entry = |name: &str, bytes: &[u8]| {
        zip.start_file(format!("archive/{name}"), options)?;
        zip.write_all(bytes)?;
        zip::result::ZipResult::Ok(())
    };
    entry("data.pkl", pickle)?;
    entry("byteorder", b"little")?;
    for (key, storage) in storages.iter().enumerate() {
        let bytes = match f_bytes(storage) {
            Ok(bytes) => bytes,
            Err(e) => return Ok(Err(torch_error(&e))),
        };
        entry(&format!("data/{key}"), &bytes)?;
    }
    entry("version", b"3\n")?;
    Ok(Ok(zip.finish()?.into_inner()))
}
