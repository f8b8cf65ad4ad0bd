//! `conv3d` on the device.

use omma::reference::conv3d::{self, Geometry};
use omma::{Conv3d, Graph, Mode, Padding, PlanOptions, Session, Variables};

#[test]
fn agrees_with_the_reference() {
    super::check("conv3d");
}

/// The nodes that it is made of, all together, against the sum over three axes: value for value.
#[test]
fn is_the_sum_over_three_axes() {
    let problems = [
        // One position sees zeros before and behind, groups and every stride and dilation differ.
        (
            Conv3d::new(6, [3, 2, 3])
                .groups(2)
                .stride([2, 1, 3])
                .dilation([1, 2, 1])
                .padding(Padding::Sides([1, 0, 2], [2, 1, 0])),
            Geometry {
                batch: 3,
                channels: [4, 6],
                groups: 2,
                input: [5, 4, 7],
                output: [3, 3, 3],
                kernel: [3, 2, 3],
                stride: [2, 1, 3],
                begin: [1, 0, 2],
                dilation: [1, 2, 1],
            },
        ),
        // Along one axis: two are one.
        (
            Conv3d::new(4, [3, 1, 1]).padding([1, 0, 0]),
            Geometry {
                channels: [8, 4],
                input: [4, 3, 2],
                output: [4, 3, 2],
                kernel: [3, 1, 1],
                begin: [1, 0, 0],
                ..PLAIN
            },
        ),
        (
            Conv3d::new(3, [1, 1, 2]).stride([1, 1, 2]),
            Geometry {
                channels: [2, 3],
                input: [3, 2, 5],
                output: [3, 2, 2],
                kernel: [1, 1, 2],
                stride: [1, 1, 2],
                ..PLAIN
            },
        ),
        (
            Conv3d::new(2, [1, 2, 2]),
            Geometry { channels: [3, 2], input: [3, 3, 4], output: [3, 2, 3], kernel: [1, 2, 2], ..PLAIN },
        ),
    ];
    for (settings, g) in problems {
        let x = shape(g.batch, g.channels[0], g.input);
        let weight = shape(g.channels[1], g.channels[0] / g.groups, g.kernel);
        let dy = shape(g.batch, g.channels[1], g.output);
        let shapes: [&[usize]; 4] = [&x, &weight, &[g.channels[1]], &dy];
        let Some([inputs, results]) = super::computed(&shapes, |graph, inputs| {
            let y = inputs[0].conv3d_with(inputs[1], Some(inputs[2]), settings).unwrap();
            let gradients = graph.gradients_of(&[(y, inputs[3])], &inputs[..2]).unwrap();
            [y].into_iter().chain(gradients.into_iter().flatten()).collect()
        }) else {
            return;
        };
        let [x, weight, bias, dy] = inputs.as_slice() else { panic!("{} inputs", inputs.len()) };
        assert_eq!(results[0], conv3d::forward(&g, x, weight, bias).values, "{g:?}");
        assert_eq!(results[1], conv3d::grad_input(&g, weight, dy).values, "{g:?}");
        assert_eq!(results[2], conv3d::grad_weight(&g, x, dy).values, "{g:?}");
    }
}

const PLAIN: Geometry = Geometry {
    batch: 2,
    channels: [1, 1],
    groups: 1,
    input: [1; 3],
    output: [1; 3],
    kernel: [1; 3],
    stride: [1; 3],
    begin: [0; 3],
    dilation: [1; 3],
};

fn shape(outer: usize, channels: usize, [depth, height, width]: [usize; 3]) -> [usize; 5] {
    [outer, channels, depth, height, width]
}

/// What the kernels of two dimensions can do as they are costs no copy.
#[test]
fn moves_only_what_it_must() {
    let Some(gpu) = crate::gpu() else { return };
    let dispatches = |settings: Conv3d, depth: usize, activation: bool| {
        let graph = Graph::new(Mode::Evaluation);
        let x = graph.input("x", [2, 3, depth, 5, 5]).unwrap();
        let mut y = x.conv3d("conv", settings).unwrap();
        if activation {
            y = y.relu().unwrap();
        }
        let options = PlanOptions::default().prefer("naive");
        Session::with_options(gpu, &graph, &[y], &Variables::new(gpu, 1), &options).unwrap().plan().dispatches()
    };
    assert_eq!(dispatches(Conv3d::new(4, 1), 4, false), 1);
    assert_eq!(dispatches(Conv3d::new(4, [3, 1, 1]), 4, false), 1);
    assert_eq!(dispatches(Conv3d::new(4, [1, 1, 3]), 4, false), 1);
    // A single slice is an image.
    assert_eq!(dispatches(Conv3d::new(4, [1, 3, 3]), 1, false), 1);
    // All slices become one image, and one is what comes out.
    assert_eq!(dispatches(Conv3d::new(4, [4, 3, 3]), 4, false), 2);
    // What follows is computed where the result is moved to its place.
    assert_eq!(dispatches(Conv3d::new(4, 3), 4, false), 3);
    assert_eq!(dispatches(Conv3d::new(4, 3), 4, true), 3);
}
