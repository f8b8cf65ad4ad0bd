//! Classic filters as convolutions, on a photograph of yours or a picture that is made up:
//! `cargo run --release --example filters [PICTURE] [OUT.png]`.

mod sheet;

use std::path::PathBuf;

use omma::{Conv2d, Gpu, GpuOptions, Graph, Mode, PadMode, Session, Variables};

/// Five rows of five, the factor of all, and what is added: 0.5 where results lie around 0.
type Filter = (&'static str, [i8; 25], f32, f32);

#[rustfmt::skip]
const FILTERS: [Filter; 9] = [
    ("as it is", [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1.0, 0.0),
    ("denoised (Gauss)", [1, 4, 6, 4, 1, 4, 16, 24, 16, 4, 6, 24, 36, 24, 6, 4, 16, 24, 16, 4, 1, 4, 6, 4, 1], 1.0 / 256.0, 0.0),
    ("sharpened", [0, 0, 0, 0, 0, 0, 0, -1, 0, 0, 0, -1, 5, -1, 0, 0, 0, -1, 0, 0, 0, 0, 0, 0, 0], 1.0, 0.0),
    ("horizontal edges", [0, 0, 0, 0, 0, 0, -1, -2, -1, 0, 0, 0, 0, 0, 0, 0, 1, 2, 1, 0, 0, 0, 0, 0, 0], 0.5, 0.5),
    ("vertical edges", [0, 0, 0, 0, 0, 0, -1, 0, 1, 0, 0, -2, 0, 2, 0, 0, -1, 0, 1, 0, 0, 0, 0, 0, 0], 0.5, 0.5),
    ("diagonal edges", [0, 0, 0, 0, 0, 0, -2, -1, 0, 0, 0, -1, 0, 1, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0], 0.5, 0.5),
    ("all edges (Laplace)", [0, 0, 0, 0, 0, 0, -1, -1, -1, 0, 0, -1, 8, -1, 0, 0, -1, -1, -1, 0, 0, 0, 0, 0, 0], 1.0, 0.5),
    ("embossed", [0, 0, 0, 0, 0, 0, -2, -1, 0, 0, 0, -1, 1, 1, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0], 1.0, 0.0),
    ("blurred", [1; 25], 1.0 / 25.0, 0.0),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::init();
    let mut arguments = std::env::args_os().skip(1);
    let (height, width, pixels) = match arguments.next().filter(|name| name != "-") {
        Some(path) => {
            let photo = image::open(path)?.into_rgb8();
            let plane = |channel| photo.pixels().map(move |pixel| f32::from(pixel.0[channel]) / 255.0);
            (photo.height() as usize, photo.width() as usize, (0..3).flat_map(plane).collect())
        }
        None => (192, 256, scene(192, 256)),
    };
    let out = arguments.next().map_or_else(|| PathBuf::from("out/filters.png"), PathBuf::from);

    // Each colour by itself, in three groups, through all filters at once; then the last filter with holes, wider.
    let graph = Graph::new(Mode::Evaluation);
    let image = graph.input("image", [1, 3, height, width])?;
    let kernels = graph.input("kernels", [3 * FILTERS.len(), 1, 5, 5])?;
    let blur = graph.input("blur", [3, 1, 5, 5])?;
    let edged = |reach: i64| image.pad(&[[0, 0], [0, 0], [reach, reach], [reach, reach]], PadMode::Edge);
    let filtered = edged(2)?.conv2d_with(kernels, None, Conv2d::new(3 * FILTERS.len(), 5).groups(3))?;
    let wide = edged(10)?.conv2d_with(blur, None, Conv2d::new(3, 5).groups(3).dilation(5))?;

    let gpu = Gpu::new_blocking(&GpuOptions::default())?;
    let mut session = Session::new(&gpu, &graph, &[filtered, wide], &Variables::new(&gpu, 0))?;
    let one = FILTERS.iter().flat_map(|(_, taps, factor, _)| taps.iter().map(move |&tap| f32::from(tap) * factor));
    let kernels: Vec<f32> = one.cycle().take(3 * 25 * FILTERS.len()).collect();
    let blur = vec![0.04_f32; 3 * 25];
    let feeds = [("image", (&pixels).into()), ("kernels", (&kernels).into()), ("blur", (&blur).into())];
    session.run_blocking(&feeds)?;

    let (filtered, wide) = (session.read_blocking::<f32>(filtered)?, session.read_blocking::<f32>(wide)?);
    let mut pictures: Vec<_> = FILTERS
        .iter()
        .enumerate()
        .map(|(number, (name, _, _, add))| {
            println!("{}: {name}", number + 1);
            let at = |y, x, color| filtered[[0, color * FILTERS.len() + number, y, x]] + add;
            sheet::picture([height, width], |y, x| [0, 1, 2].map(|color| at(y, x, color)))
        })
        .collect();
    println!("{}: blurred, dilated", pictures.len() + 1);
    pictures.push(sheet::picture([height, width], |y, x| [0, 1, 2].map(|color| wide[[0, color, y, x]])));
    sheet::write(&out, &pictures, 5, 1)
}

/// Three balls over a chequered floor, with a little noise: `[3, height, width]`.
fn scene(height: usize, width: usize) -> Vec<f32> {
    let color = |index: usize| {
        let (channel, y, x) = (index / (height * width), index / width % height, index % width);
        let (x, y) = (x as f32 / height as f32 - 0.67, y as f32 / height as f32 - 0.5);
        let balls = [
            ([-0.33, 0.05], 0.22, [0.9, 0.3, 0.2]),
            ([0.1, -0.05], 0.28, [0.2, 0.5, 0.9]),
            ([0.42, 0.2], 0.16, [0.9, 0.8, 0.2]),
        ];
        let mixed = (index as u32).wrapping_mul(2_654_435_761);
        let noise = ((mixed ^ (mixed >> 15)).wrapping_mul(2_246_822_519) >> 24) as f32 / 255.0 * 0.06 - 0.03;
        for ([cx, cy], radius, paint) in balls.into_iter().rev() {
            let (u, v) = ((x - cx) / radius, (y - cy) / radius);
            if u * u + v * v < 1.0 {
                let light = (0.55 * (1.0 - u * u - v * v).sqrt() - 0.5 * u - 0.6 * v).max(0.0) + 0.15;
                return paint[channel] * light + light.powi(16) * 0.3 + noise;
            }
        }
        let depth = 0.3 / (y + 0.12).max(1e-3);
        let floor = ((x * depth * 9.0).floor() + (depth * 6.0).floor()).rem_euclid(2.0);
        (if y > 0.0 { 0.35 + 0.35 * floor } else { 0.75 + 0.3 * y }) + noise
    };
    (0..3 * height * width).map(color).collect()
}
