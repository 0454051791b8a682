//! Named tensors, in a file or in memory.

use std::ops::Range;

use tch::{Kind, Tensor};
use torchmill::{Error, Result};

use crate::torch_error;

/// The element type of a saved tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DType {
    /// `torch.float16`
    Float16,
    /// `torch.bfloat16`
    BFloat16,
    /// `torch.float32`
    Float32,
    /// `torch.float64`
    Float64,
    /// `torch.bool`
    Bool,
    /// `torch.uint8`
    Uint8,
    /// `torch.int8`
    Int8,
    /// `torch.int16`
    Int16,
    /// `torch.int32`
    Int32,
    /// `torch.int64`
    Int64,
}

impl DType {
    /// The size of an element in bytes.
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::Uint8 | Self::Int8 => 1,
            Self::Float16 | Self::BFloat16 | Self::Int16 => 2,
            Self::Float32 | Self::Int32 => 4,
            Self::Float64 | Self::Int64 => 8,
        }
    }

    /// The dtype of a torch storage class, such as `FloatStorage`.
    pub(crate) fn of_storage(class: &str) -> Option<Self> {
        Some(match class {
            "HalfStorage" => Self::Float16,
            "BFloat16Storage" => Self::BFloat16,
            "FloatStorage" => Self::Float32,
            "DoubleStorage" => Self::Float64,
            "BoolStorage" => Self::Bool,
            "ByteStorage" => Self::Uint8,
            "CharStorage" => Self::Int8,
            "ShortStorage" => Self::Int16,
            "IntStorage" => Self::Int32,
            "LongStorage" => Self::Int64,
            _ => return None,
        })
    }

    /// The dtype of a safetensors dtype, if it is supported.
    pub(crate) fn of_safetensors(dtype: safetensors::Dtype) -> Option<Self> {
        use safetensors::Dtype;
        Some(match dtype {
            Dtype::F16 => Self::Float16,
            Dtype::BF16 => Self::BFloat16,
            Dtype::F32 => Self::Float32,
            Dtype::F64 => Self::Float64,
            Dtype::BOOL => Self::Bool,
            Dtype::U8 => Self::Uint8,
            Dtype::I8 => Self::Int8,
            Dtype::I16 => Self::Int16,
            Dtype::I32 => Self::Int32,
            Dtype::I64 => Self::Int64,
            _ => return None,
        })
    }

    fn kind(self) -> Kind {
        match self {
            Self::Float16 => Kind::Half,
            Self::BFloat16 => Kind::BFloat16,
            Self::Float32 => Kind::Float,
            Self::Float64 => Kind::Double,
            Self::Bool => Kind::Bool,
            Self::Uint8 => Kind::Uint8,
            Self::Int8 => Kind::Int8,
            Self::Int16 => Kind::Int16,
            Self::Int32 => Kind::Int,
            Self::Int64 => Kind::Int64,
        }
    }
}

/// Where a tensor's elements are in a file. They are little-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The type of the elements.
    pub dtype: DType,
    /// The byte range of the file that the view may use.
    pub storage: Range<usize>,
    /// The offset of the first element in the storage, in elements.
    pub offset: i64,
    /// The tensor's shape.
    pub shape: Vec<i64>,
    /// The stride of each dimension, in elements.
    pub strides: Vec<i64>,
}

impl View {
    /// A dense tensor that fills its storage.
    pub(crate) fn dense(dtype: DType, storage: Range<usize>, shape: Vec<i64>) -> Self {
        let strides = dense_strides(&shape);
        Self { dtype, storage, offset: 0, shape, strides }
    }

    /// Checks that all elements are in the storage and the storage is in the file. The
    /// tensor must not be larger than the file, as an expanded one (stride 0) could be.
    pub(crate) fn check(&self, file: usize) -> Result<()> {
        let fits = self.count().is_some_and(|count| {
            count == 0
                || (self.last().is_some_and(|last| {
                    (last as usize) < self.storage.len() / self.dtype.size()
                }) && count.checked_mul(self.dtype.size()).is_some_and(|n| n <= file)
                    && self.storage.end <= file)
        });
        if fits {
            Ok(())
        } else {
            Err(Error::failed("lies outside its storage: the file is damaged"))
        }
    }

    /// The number of elements.
    fn count(&self) -> Option<usize> {
        let mut count = 1_usize;
        for &size in &self.shape {
            count = count.checked_mul(usize::try_from(size).ok()?)?;
        }
        Some(count)
    }

    /// The offset of the last element in the storage. Sizes must be above 0.
    fn last(&self) -> Option<u64> {
        if self.shape.len() != self.strides.len() {
            return None;
        }
        let mut last = u64::try_from(self.offset).ok()?;
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            let stride = u64::try_from(stride).ok()?;
            last = last.checked_add(stride.checked_mul(size.unsigned_abs() - 1)?)?;
        }
        Some(last)
    }

    /// Copies the tensor. The view must have been checked.
    fn tensor(&self, file: &[u8]) -> Result<Tensor> {
        let storage = &file[self.storage.clone()];
        let size = self.dtype.size();
        #[allow(clippy::expect_used, reason = "`check` has counted the elements")]
        let count = self.count().expect("a checked view has a number of elements");
        let gathered;
        let bytes: &[u8] = if self.strides == dense_strides(&self.shape) || count == 0 {
            let start = self.offset as usize * size;
            if count == 0 { &[] } else { &storage[start..start + count * size] }
        } else {
            gathered = self.gather(storage, count);
            &gathered
        };
        Tensor::f_from_data_size(bytes, &self.shape, self.dtype.kind())
            .map_err(|e| torch_error(&e))
    }

    /// The elements in row-major order.
    fn gather(&self, storage: &[u8], count: usize) -> Vec<u8> {
        let size = self.dtype.size();
        let mut bytes = Vec::with_capacity(count * size);
        let mut index = vec![0; self.shape.len()];
        let mut at = self.offset;
        for _ in 0..count {
            let start = at as usize * size;
            bytes.extend_from_slice(&storage[start..start + size]);
            // Advances the index like an odometer.
            for d in (0..index.len()).rev() {
                // The stride of a single element may be any number.
                if self.shape[d] == 1 {
                    continue;
                }
                index[d] += 1;
                at += self.strides[d];
                if index[d] < self.shape[d] {
                    break;
                }
                at -= self.strides[d] * self.shape[d];
                index[d] = 0;
            }
        }
        bytes
    }
}

fn dense_strides(shape: &[i64]) -> Vec<i64> {
    let mut strides = vec![1_i64; shape.len()];
    for d in (1..shape.len()).rev() {
        strides[d - 1] = strides[d].saturating_mul(shape[d]);
    }
    strides
}

/// A named tensor.
#[derive(Debug)]
pub struct Entry {
    name: String,
    data: Data,
}

#[derive(Debug)]
enum Data {
    File(View),
    Memory(Tensor),
}

impl Entry {
    pub(crate) fn in_file(name: &str, view: View) -> Self {
        Self { name: name.to_owned(), data: Data::File(view) }
    }

    /// The tensor's name, such as `module1.0.weight`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tensor's shape.
    pub fn shape(&self) -> Vec<i64> {
        match &self.data {
            Data::File(view) => view.shape.clone(),
            Data::Memory(tensor) => tensor.size(),
        }
    }

    /// The dtype.
    pub fn kind(&self) -> Kind {
        match &self.data {
            Data::File(view) => view.dtype.kind(),
            Data::Memory(tensor) => tensor.kind(),
        }
    }
}

/// Named tensors. Those in a file are read from the mapped file on access.
pub struct StateDict {
    entries: Vec<Entry>,
    file: FileBytes,
}

/// The bytes of the file that a state dict was read from.
pub(crate) type FileBytes = Box<dyn AsRef<[u8]> + Send + Sync>;

impl StateDict {
    /// Creates a state dict from a file's tensors, whose views must have been checked.
    pub(crate) fn of_file(file: FileBytes, entries: Vec<Entry>) -> Self {
        Self { entries, file }
    }

    /// The entries, in file order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// An entry's tensor on the CPU. From a file it is a dense copy in row-major order.
    pub fn tensor(&self, entry: &Entry) -> Result<Tensor> {
        match &entry.data {
            Data::File(view) => {
                view.tensor((*self.file).as_ref()).map_err(|e| e.within(&entry.name))
            }
            Data::Memory(tensor) => Ok(tensor.shallow_clone()),
        }
    }
}

impl From<Vec<(String, Tensor)>> for StateDict {
    fn from(tensors: Vec<(String, Tensor)>) -> Self {
        let mut entries = Vec::new();
        for (name, tensor) in tensors {
            entries.push(Entry { name, data: Data::Memory(tensor) });
        }
        Self { entries, file: Box::new([0_u8; 0]) }
    }
}
