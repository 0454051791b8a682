//! A network's outputs as probabilities.

use torchmill::recipe::Loss;

/// The probabilities of the classes that one image's outputs stand for, given what the
/// network was trained with.
pub fn of(loss: &Loss, outputs: &[f32]) -> Vec<f32> {
    match loss {
        Loss::CrossEntropyLoss { .. } => softmax(outputs),
        Loss::NLLLoss { .. } => outputs.iter().map(|x| x.exp()).collect(),
        // Outputs that were fitted to ones and zeros.
        Loss::MSELoss {} => outputs.iter().map(|x| x.clamp(0.0, 1.0)).collect(),
        // Each class for itself: they need not add up to one.
        Loss::BCEWithLogitsLoss { .. } => {
            outputs.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect()
        }
    }
}

/// `exp(x) / sum(exp(x))` over the outputs of one image.
pub fn softmax(outputs: &[f32]) -> Vec<f32> {
    let max = outputs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f32> = outputs.iter().map(|&x| (x - max).exp()).collect();
    let sum: f32 = exponentials.iter().sum();
    exponentials.into_iter().map(|e| e / sum).collect()
}
