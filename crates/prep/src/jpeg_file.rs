//! A JPEG file of which only a part is decoded. All of it is checked.

use std::cell::RefCell;

use torchmill::dataset::decode;
use torchmill::transform::{DecodedPart, FilePart, ImageFile};
use torchmill::{Error, Result};

/// A JPEG file for a pipeline.
pub struct JpegFile<'a> {
    bytes: &'a [u8],
    shape: [usize; 3],
    /// The first warning or the error of decoding it.
    outcome: RefCell<Result<Option<String>>>,
}

impl<'a> JpegFile<'a> {
    /// Reads the file's header.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let (width, height) = decode::dimensions(bytes)?;
        let outcome = RefCell::new(Ok(None));
        Ok(Self { bytes, shape: [3, height, width], outcome })
    }

    /// The decoder's warning if the file is damaged, or the error if it could not be
    /// decoded.
    pub fn into_warning(self) -> Result<Option<String>> {
        self.outcome.into_inner()
    }
}

impl ImageFile for JpegFile<'_> {
    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn may_be_scaled(&self) -> bool {
        false
    }

    fn decode(&self, part: &FilePart) -> Result<DecodedPart> {
        match decode::checked_jpeg_part(self.bytes, part) {
            Ok((decoded, warning)) => {
                *self.outcome.borrow_mut() = Ok(warning);
                Ok(decoded)
            }
            Err(error) => {
                *self.outcome.borrow_mut() = Err(error);
                Err(Error::failed("cannot be decoded"))
            }
        }
    }
}
