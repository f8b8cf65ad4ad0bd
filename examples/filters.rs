//! Classic filters as convolutions, on a photograph: `cargo run --release --example filters [PICTURE] [OUT.png]`.

mod arguments;
mod sheet;

use image::imageops::FilterType;
use omma::{Conv2d, Gpu, GpuOptions, Graph, Mode, PadMode, Session, Variables};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A name, which picture it is shown on, five rows of five, the factor of all, and what is added: 0.5 where results lie
/// around 0.
type Filter = (&'static str, usize, [i8; 25], f32, f32);

const PLAIN: usize = 0;
const NOISY: usize = 1;

#[rustfmt::skip]
const FILTERS: [Filter; 11] = [
    ("as it is", PLAIN, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1.0, 0.0),
    ("sharpened", PLAIN, [0, 0, 0, 0, 0, 0, 0, -1, 0, 0, 0, -1, 5, -1, 0, 0, 0, -1, 0, 0, 0, 0, 0, 0, 0], 1.0, 0.0),
    ("with noise", NOISY, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1.0, 0.0),
    ("denoised (Gauss)", NOISY, [1, 4, 6, 4, 1, 4, 16, 24, 16, 4, 6, 24, 36, 24, 6, 4, 16, 24, 16, 4, 1, 4, 6, 4, 1], 1.0 / 256.0, 0.0),
    ("horizontal edges (Sobel)", PLAIN, [0, 0, 0, 0, 0, 0, -1, -2, -1, 0, 0, 0, 0, 0, 0, 0, 1, 2, 1, 0, 0, 0, 0, 0, 0], 0.5, 0.5),
    ("vertical edges (Sobel)", PLAIN, [0, 0, 0, 0, 0, 0, -1, 0, 1, 0, 0, -2, 0, 2, 0, 0, -1, 0, 1, 0, 0, 0, 0, 0, 0], 0.5, 0.5),
    ("rising diagonal edges", PLAIN, [0, 0, 0, 0, 0, 0, -2, -1, 0, 0, 0, -1, 0, 1, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0], 0.5, 0.5),
    ("falling diagonal edges", PLAIN, [0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, -1, 0, 1, 0, 0, -2, -1, 0, 0, 0, 0, 0, 0, 0], 0.5, 0.5),
    ("all edges (Laplace)", PLAIN, [0, 0, 0, 0, 0, 0, -1, -1, -1, 0, 0, -1, 8, -1, 0, 0, -1, -1, -1, 0, 0, 0, 0, 0, 0], 1.0, 0.5),
    ("embossed", PLAIN, [0, 0, 0, 0, 0, 0, -2, -1, 0, 0, 0, -1, 1, 1, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0], 1.0, 0.0),
    ("blurred", PLAIN, [1; 25], 1.0 / 25.0, 0.0),
];

/// Larger pictures are made smaller.
const MOST: u32 = 480;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::init();
    let path = std::env::args_os()
        .nth(1)
        .unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/data/photo/chelsea.png").into());
    let photo = image::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let small = photo.width().max(photo.height()) <= MOST;
    let photo = if small { photo } else { photo.resize(MOST, MOST, FilterType::Triangle) }.into_rgb8();
    let (height, width) = (photo.height() as usize, photo.width() as usize);
    let plane = |channel| photo.pixels().map(move |pixel| f32::from(pixel.0[channel]) / 255.0);
    let plain: Vec<f32> = (0..3).flat_map(plane).collect();
    let mut random = StdRng::seed_from_u64(1);
    let noisy = plain.iter().map(|value| value + random.random_range(-0.2..0.2));
    let pixels: Vec<f32> = plain.iter().copied().chain(noisy).collect();

    // Each colour by itself, in three groups, through all filters at once; then the last filter with holes, wider.
    let graph = Graph::new(Mode::Evaluation);
    let images = graph.input("images", [2, 3, height, width])?;
    let kernels = graph.input("kernels", [3 * FILTERS.len(), 1, 5, 5])?;
    let blur = graph.input("blur", [3, 1, 5, 5])?;
    let edged = |reach: i64| images.pad(&[[0, 0], [0, 0], [reach, reach], [reach, reach]], PadMode::Edge);
    let filtered = edged(2)?.conv2d_with(kernels, None, Conv2d::new(3 * FILTERS.len(), 5).groups(3))?;
    let wide = edged(8)?.conv2d_with(blur, None, Conv2d::new(3, 5).groups(3).dilation(4))?;

    let gpu = Gpu::new_blocking(&GpuOptions::default())?;
    let mut session = Session::new(&gpu, &graph, &[filtered, wide], &Variables::new(&gpu, 0))?;
    let taps = FILTERS.iter().flat_map(|(_, _, taps, factor, _)| taps.iter().map(move |&tap| f32::from(tap) * factor));
    let kernels: Vec<f32> = taps.cycle().take(3 * 25 * FILTERS.len()).collect();
    let blur = vec![0.04_f32; 3 * 25];
    session.run_blocking(&[("images", (&pixels).into()), ("kernels", (&kernels).into()), ("blur", (&blur).into())])?;

    let (filtered, wide) = (session.read_blocking::<f32>(filtered)?, session.read_blocking::<f32>(wide)?);
    let mut pictures = Vec::new();
    for (number, (name, image, _, _, add)) in FILTERS.into_iter().enumerate() {
        let at = |y, x, color| filtered[[image, color * FILTERS.len() + number, y, x]] + add;
        pictures.push((name.into(), sheet::picture([height, width], |y, x| [0, 1, 2].map(|color| at(y, x, color)))));
    }
    let at = |y, x, color| wide[[PLAIN, color, y, x]];
    let dilated = sheet::picture([height, width], |y, x| [0, 1, 2].map(|color| at(y, x, color)));
    pictures.push(("blurred, dilated".into(), dilated));
    let titles =
        ["Filters", "One convolution of 5x5 taps and three groups computes all but the last, which is dilated"];
    sheet::write(&arguments::file("out/filters.png"), titles, &pictures, [4, 1])
}
