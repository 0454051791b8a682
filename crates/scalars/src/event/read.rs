//! Reads scalars from event files of every writer: PyTorch and TensorFlow 1
//! (`simple_value`), TensorFlow 2 and Keras (tensors).

use std::collections::HashMap;
use std::io::Read;

use prost::Message;
use torchmill::{Error, Result, interrupt};

use super::proto::{Data, Event, Tensor, Value, What};
use super::purge::{Place, Starts};
use super::record::{self, Next};

/// A scalar's value in the precision of the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// From `simple_value` or a float32 tensor.
    Single(f32),
    /// From any other tensor; integers above 2^53 are rounded.
    Double(f64),
}

/// Counts of the data in a run's event files other than scalars.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others {
    /// Images.
    pub images: u64,
    /// Histograms.
    pub histograms: u64,
    /// Everything else: text, audio, hyperparameters, tensors of more than one element.
    pub values: u64,
}

/// Reads the files of one run, in order.
#[derive(Default)]
pub struct RunReader {
    /// The starts, which decide which points are discarded.
    pub starts: Starts,
    /// The number of files read so far.
    files: usize,
    /// The plugin of each tag, from its first value's metadata.
    plugins: HashMap<String, String>,
    /// The data that were not read.
    pub others: Others,
}

/// One scalar: wall time, step, tag, value.
pub type Scalar<'a> = (f64, i64, &'a str, Number);

impl RunReader {
    /// Calls `each` with each scalar of an event file. A damaged record is an error that
    /// names it, after the scalars before it.
    pub fn read(
        &mut self,
        input: impl Read,
        each: &mut impl FnMut(Scalar) -> Result<()>,
    ) -> Result<()> {
        let file = self.files;
        self.files += 1;
        let mut reader = record::Reader::new(input);
        for number in 1u64.. {
            interrupt::check()?;
            let start = reader.offset();
            let what = match reader.next().map_err(|e| Error::io("cannot read it", e))? {
                Next::Record => match Event::decode(reader.payload()) {
                    Ok(event) => {
                        self.event((file, number - 1), event, each)?;
                        continue;
                    }
                    Err(_) if number == 1 => {
                        "its payload is no event; is this an event file?"
                    }
                    Err(_) => "its payload is no event",
                },
                Next::End if number == 1 => {
                    return Err(Error::failed(
                        "it is empty; an event file starts with its version",
                    ));
                }
                Next::End => return Ok(()),
                Next::Torn if number == 1 => {
                    "the file ends within it; is this an event file?"
                }
                Next::Torn => {
                    "the file ends within it: it is still being written, or was cut off"
                }
                Next::BadLength if number == 1 => {
                    "its length does not fit its checksum; is this an event file?"
                }
                Next::BadLength => "its length does not fit its checksum",
                Next::BadPayload => "its payload does not fit its checksum",
            };
            let place = format!("record {number} at byte {start}");
            return Err(Error::failed(format_args!("{place}: {what}")));
        }
        Ok(())
    }

    fn event(
        &mut self,
        place: Place,
        event: Event,
        each: &mut impl FnMut(Scalar) -> Result<()>,
    ) -> Result<()> {
        let Some(What::Summary(summary)) = event.what else { return Ok(()) };
        for value in summary.value {
            if let Some(number) = self.number(&value)
                && self.starts.keep(place, event.step)
            {
                each((event.wall_time, event.step, &value.tag, number))?;
            }
        }
        Ok(())
    }

    /// The value, if it is a scalar.
    fn number(&mut self, value: &Value) -> Option<Number> {
        let plugin = value
            .metadata
            .as_ref()
            .and_then(|m| m.plugin_data.as_ref())
            .map(|p| &p.plugin_name);
        if let Some(plugin) = plugin
            && !self.plugins.contains_key(&value.tag)
        {
            self.plugins.insert(value.tag.clone(), plugin.clone());
        }
        let plugin = self.plugins.get(&value.tag).map_or("", String::as_str);
        match &value.data {
            Some(Data::SimpleValue(single)) => return Some(Number::Single(*single)),
            Some(Data::Tensor(tensor)) if matches!(plugin, "scalars" | "") => {
                if let Some(number) = scalar(tensor) {
                    return Some(number);
                }
                self.others.values += 1;
            }
            Some(Data::Image(_)) => self.others.images += 1,
            Some(Data::Histogram(_)) => self.others.histograms += 1,
            Some(Data::Tensor(_)) if plugin == "images" => self.others.images += 1,
            Some(Data::Tensor(_)) if plugin == "histograms" => {
                self.others.histograms += 1;
            }
            Some(Data::Tensor(_) | Data::Audio(_)) | None => self.others.values += 1,
        }
        None
    }
}

/// A tensor's only element, if it has just one, whatever its rank. Elements are in the
/// list of their type, or as little-endian bytes in `content`.
fn scalar(tensor: &Tensor) -> Option<Number> {
    if tensor
        .shape
        .as_ref()
        .is_some_and(|shape| shape.dim.iter().any(|dim| dim.size != 1))
    {
        return None;
    }
    fn only<T: Copy>(list: &[T]) -> Option<T> {
        if let [one] = list { Some(*one) } else { None }
    }
    fn bytes<const N: usize>(tensor: &Tensor) -> Option<[u8; N]> {
        tensor.content.as_slice().try_into().ok()
    }
    let int = || only(&tensor.int_val);
    let double = |value: Option<f64>| value.map(Number::Double);
    let integer = |value: Option<i32>| value.map(|v| Number::Double(f64::from(v)));
    match tensor.dtype {
        1 => only(&tensor.float_val)
            .or_else(|| bytes(tensor).map(f32::from_le_bytes))
            .map(Number::Single),
        2 => double(
            only(&tensor.double_val).or_else(|| bytes(tensor).map(f64::from_le_bytes)),
        ),
        3 => integer(int().or_else(|| bytes(tensor).map(i32::from_le_bytes))),
        4 => integer(int().or_else(|| bytes::<1>(tensor).map(|[b]| i32::from(b)))),
        5 => integer(
            int().or_else(|| bytes(tensor).map(|b| i32::from(i16::from_le_bytes(b)))),
        ),
        6 => integer(int().or_else(|| bytes::<1>(tensor).map(|[b]| i32::from(b as i8)))),
        9 => double(
            only(&tensor.int64_val)
                .or_else(|| bytes(tensor).map(i64::from_le_bytes))
                .map(|v| v as f64),
        ),
        10 => double(
            only(&tensor.bool_val)
                .or_else(|| bytes::<1>(tensor).map(|[b]| b != 0))
                .map(|b| f64::from(u8::from(b))),
        ),
        14 => {
            let bits = only(&tensor.half_val)
                .map(|v| v as u16)
                .or_else(|| bytes(tensor).map(u16::from_le_bytes));
            bits.map(|bits| Number::Single(f32::from_bits(u32::from(bits) << 16)))
        }
        17 => integer(
            int().or_else(|| bytes(tensor).map(|b| i32::from(u16::from_le_bytes(b)))),
        ),
        22 => double(
            only(&tensor.uint32_val)
                .or_else(|| bytes(tensor).map(u32::from_le_bytes))
                .map(f64::from),
        ),
        23 => double(
            only(&tensor.uint64_val)
                .or_else(|| bytes(tensor).map(u64::from_le_bytes))
                .map(|v| v as f64),
        ),
        19 => {
            let bits = only(&tensor.half_val)
                .map(|v| v as u16)
                .or_else(|| bytes(tensor).map(u16::from_le_bytes));
            bits.map(|bits| Number::Single(half::f16::from_bits(bits).to_f32()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
