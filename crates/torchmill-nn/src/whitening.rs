//! A first convolution whose filters whiten patches of the training images.
//!
//! The filters are the eigenvectors of the patches' covariance, each divided by the
//! square root of its eigenvalue, followed by their negatives: D. Page, "How to train
//! your ResNet 8: bag of tricks", 2019; K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a
//! Single GPU", 2024 (arXiv 2404.00498), whose eps is the default.

use tch::{Kind, TchError, Tensor, no_grad};
use torchmill::{Error, Result};

use crate::tensor::f_channels_last;
use crate::torch_error;

/// A convolution's weight that will be computed from images.
pub(crate) struct Whitening {
    /// The layer's name and class, for messages.
    pub(crate) name: String,
    /// `[2 C h w, C, h, w]`, float32.
    pub(crate) weight: Tensor,
    /// Added to the eigenvalues.
    pub(crate) eps: f64,
    /// The number of images to use.
    pub(crate) images: usize,
}

impl Whitening {
    /// Checks the weight's shape, and that the layer's input is the images.
    pub(crate) fn check(&self, gets_images: bool) -> Result<()> {
        if !gets_images {
            return Err(Error::usage(
                "whitening_ is for the first layer, which gets the images",
            ));
        }
        let size = self.weight.size();
        let outputs = match size[..] {
            [_, channels, height, width] => 2 * channels * height * width,
            _ => return Err(Error::usage("whitening_ is for a Conv2d's weight")),
        };
        if size[0] != outputs {
            return Err(Error::usage(format_args!(
                "whitening_ gives {outputs} filters of {:?}, twice the numbers in each: \
                 out_channels must be {outputs}",
                &size[1..]
            )));
        }
        Ok(())
    }

    /// Computes the filters from images `[N, C, H, W]`.
    pub(crate) fn compute(&self, images: &Tensor) -> Result<()> {
        let filters = no_grad(|| {
            let filters = self.filters(images)?;
            self.weight.shallow_clone().f_copy_(&f_channels_last(&filters)?)?;
            filters.f_isfinite()?.f_all()?.f_int64_value(&[])
        });
        match filters.map_err(|e| torch_error(&e).within(&self.name))? {
            0 => Err(Error::failed(format_args!(
                "{}: the images have no patches that whitening_ can be computed from",
                self.name
            ))),
            _ => Ok(()),
        }
    }

    fn filters(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let size = self.weight.size();
        let covariance = covariance(images, [size[2], size[3]])?;
        let (values, vectors) = covariance.f_linalg_eigh("L")?;
        // The largest first. The eigenvectors are the columns.
        let values = values.f_flip([0])?.f_add_scalar(self.eps)?.f_sqrt()?;
        let vectors = vectors.f_transpose(0, 1)?.f_flip([0])?;
        let filters = vectors.f_div(&values.f_unsqueeze(1)?)?;
        let both = Tensor::f_cat(&[&filters, &filters.f_neg()?], 0)?;
        both.f_to_kind(Kind::Float)?.f_reshape(&size)
    }
}

/// The mean of `p p^T` over all patches `p` of the images, float64 `[C h w, C h w]`.
fn covariance(images: &Tensor, kernel: [i64; 2]) -> Result<Tensor, TchError> {
    // In chunks, since each pixel is in several patches.
    const CHUNK: i64 = 256;
    let count = images.size()[0];
    let numbers = images.size()[1] * kernel[0] * kernel[1];
    let options = (Kind::Double, images.device());
    let mut sum = Tensor::f_zeros([numbers, numbers], options)?;
    let mut patches = 0;
    for start in (0..count).step_by(CHUNK as usize) {
        let chunk = images.f_narrow(0, start, CHUNK.min(count - start))?;
        let columns =
            chunk.f_to_kind(Kind::Double)?.f_im2col(kernel, [1, 1], [0, 0], [1, 1])?;
        let columns = columns.f_transpose(0, 1)?.f_reshape([numbers, -1])?;
        patches += columns.size()[1];
        sum = sum.f_add(&columns.f_matmul(&columns.f_transpose(0, 1)?)?)?;
    }
    sum.f_div_scalar(patches)
}
