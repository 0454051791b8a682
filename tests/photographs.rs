//! From a folder of photographs of any size to an evaluated network. The photographs are
//! generated: scenes with a disc or a cross, which differ only in that shape.

use std::fs;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use torchmill_testing::{Sandbox, ok, program, repository};

const CLASSES: [&str; 2] = ["cross", "disc"];
/// Photographs of each class.
const COUNT: usize = 90;

const RECIPE: &str = r#"
name = "shapes"
[transforms]
train = "RandomResizedCrop(32, scale=(0.6, 1.0)) | RandomHorizontalFlip | ToTensor | Normalize(0.5, 0.25)"
test = "Resize(36) | CenterCrop(32) | ToTensor | Normalize(0.5, 0.25)"
[model]
layer = [
    "Conv2d(out_channels=16, kernel_size=5, stride=2)", "BatchNorm2d", "ReLU",
    "Conv2d(out_channels=32, kernel_size=3, stride=2)", "BatchNorm2d", "ReLU",
    "Conv2d(out_channels=32, kernel_size=3)", "ReLU", "Flatten", "Linear",
]
[train]
epochs = 12
batch_size = 16
[train.optimizer]
type = "Adam"
lr = 0.002
"#;

/// Pseudorandom numbers from 0 to 1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 =
            self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1 << 24) as f32
    }

    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.next()
    }
}

/// The RGB pixels of a scene: a shape in one colour on a background in another, with a
/// gradient of light over both.
fn scene(class: usize, width: usize, height: usize, noise: &mut Noise) -> Vec<u8> {
    let side = width.min(height) as f32;
    let radius = side * noise.between(0.25, 0.32);
    let x = width as f32 * noise.between(0.42, 0.58);
    let y = height as f32 * noise.between(0.42, 0.58);
    let is_bright = noise.next() < 0.5;
    let mut color = |is_bright: bool| {
        let (low, high) = if is_bright { (150.0, 220.0) } else { (20.0, 90.0) };
        [0; 3].map(|_| noise.between(low, high))
    };
    let (shape, background) = (color(is_bright), color(!is_bright));
    let mut pixels = Vec::with_capacity(width * height * 3);
    for row in 0..height {
        for column in 0..width {
            let (dx, dy) = (column as f32 - x, row as f32 - y);
            let is_inside = match CLASSES[class] {
                "disc" => dx.hypot(dy) < radius,
                _ => {
                    let (far, near) = (dx.abs().max(dy.abs()), dx.abs().min(dy.abs()));
                    far < radius && near < radius * 0.3
                }
            };
            let light = 20.0 * column as f32 / width as f32;
            let color = if is_inside { shape } else { background };
            pixels.extend(color.map(|level| (level + light) as u8));
        }
    }
    pixels
}

/// A file of a scene: mostly JPEG, some grey, some PNG, some with an EXIF orientation.
fn photograph(n: usize, class: usize) -> (Vec<u8>, &'static str) {
    let mut noise = Noise((n * 2 + class) as u64 * 7919 + 1);
    let width = noise.between(200.0, 640.0) as usize;
    let height = noise.between(200.0, 640.0) as usize;
    let pixels = scene(class, width, height, &mut noise);
    let (width, height) = (width as u32, height as u32);
    let mut file = Vec::new();
    match n % 10 {
        3 => {
            let grey: Vec<u8> = pixels.iter().step_by(3).copied().collect();
            JpegEncoder::new_with_quality(&mut file, 90)
                .write_image(&grey, width, height, ExtendedColorType::L8)
                .unwrap();
        }
        6 => {
            PngEncoder::new(&mut file)
                .write_image(&pixels, width, height, ExtendedColorType::Rgb8)
                .unwrap();
            return (file, "png");
        }
        _ => {
            JpegEncoder::new_with_quality(&mut file, 90)
                .write_image(&pixels, width, height, ExtendedColorType::Rgb8)
                .unwrap();
            if n % 10 == 8 {
                add_orientation(&mut file);
            }
        }
    }
    (file, "jpg")
}

/// Adds EXIF data to a JPEG, with an orientation that turns it by 90 degrees.
fn add_orientation(jpeg: &mut Vec<u8>) {
    let tiff = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let exif = [&b"Exif\0\0"[..], tiff].concat();
    let length = (exif.len() as u16 + 2).to_be_bytes();
    let segment = [&[0xff, 0xe1][..], &length, &exif].concat();
    // After the start of the image.
    jpeg.splice(2..2, segment);
}

/// Writes a folder of all photographs, two of which are broken.
fn write_photographs(folder: &Path) {
    for (class, name) in CLASSES.iter().enumerate() {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        for n in 0..COUNT {
            let (file, ending) = photograph(n, class);
            fs::write(folder.join(format!("{n:03}.{ending}")), file).unwrap();
        }
    }
    let (whole, _) = photograph(0, 0);
    fs::write(folder.join("cross/cut.jpg"), &whole[..whole.len() / 2]).unwrap();
    fs::write(folder.join("disc/text.jpg"), "not an image").unwrap();
    let cmyk = "crates/torchmill/tests/golden/cmyk.jpg";
    fs::copy(repository().join(cmyk), folder.join("disc/cmyk.jpg")).unwrap();
}

#[test]
fn photographs_of_any_size_train_a_network() {
    let sandbox = Sandbox::new();
    let run = |name: &str, arguments: &[&str]| {
        ok(program(name).current_dir(sandbox.path()).args(arguments))
    };
    write_photographs(&sandbox.join("photos"));
    fs::write(sandbox.join("shapes.toml"), RECIPE).unwrap();
    let recipe = ["--recipe", "shapes.toml"];
    let split = ["photos", "--test-fraction", "0.3", "--skip-bad", "bad.txt", "-o", "s"];
    let said = run("prep", &[&split[..], &recipe].concat()).stderr;
    assert!(said.contains("images of different sizes, as image files"), "{said}");
    let bad = fs::read_to_string(sandbox.join("bad.txt")).unwrap();
    let listed: Vec<&str> =
        bad.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(listed, ["photos/cross/cut.jpg", "photos/disc/text.jpg"]);
    let options = ["--data", "s", "--run", "run", "--seed", "1", "--device", "cpu"];
    run("train", &[&recipe[..], &options].concat());
    let evaluated = run("evaluate", &["run", "--data", "s", "--format", "json"]).stdout;
    let report: serde_json::Value = serde_json::from_str(&evaluated).unwrap();
    let accuracy = report[0]["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.85, "{evaluated}");
}
