//! `--export`: writes a checkpoint's network to a file for other programs.

use tch::Device;
use torchmill::{Result, atomic, cli};
use torchmill_nn::onnx::{self, Input};

use crate::config::{Config, Export, ExportFormat};
use crate::network;

/// Writes the file and prints its path.
pub fn write(config: &Config, export: &Export) -> Result<()> {
    for checkpoint in &config.checkpoints {
        let network = network::load(config, checkpoint, None, Device::Cpu)?;
        let (model, spec) = (&network.model, &network.spec);
        let bytes = match export.format {
            ExportFormat::Onnx => onnx::encode(model, spec, Input::Floats),
            ExportFormat::OnnxOfBytes => onnx::encode(model, spec, Input::Bytes),
            ExportFormat::TorchSave => model.to_torch_save(),
        };
        let bytes = bytes.map_err(|e| e.within(checkpoint.display()))?;
        atomic::write(&export.file, &bytes)?;
        cli::print(format!("{}\n", export.file.display()).as_bytes())?;
    }
    Ok(())
}
