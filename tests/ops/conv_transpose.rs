//! `conv_transpose` on the device.

use omma::{Conv1d, Conv2d, Conv3d, Graph, Mode, Padding, Result, Tensor};

#[test]
fn agrees_with_the_reference() {
    super::check("conv_transpose");
}

/// Each pixel adds its multiple of the kernel to the result, said without a convolution.
#[test]
fn spreads_each_pixel() {
    // Two groups, strides, dilation, output padding and padding, each axis by itself.
    let settings = Conv2d::new(6, [3, 2]).groups(2).stride([2, 3]).dilation([1, 2]).output_padding([1, 2]);
    let settings = settings.padding(Padding::Sides([1, 0], [0, 2]));
    let [batch, channels, height, width] = [2, 4, 3, 4];
    // 2·2 + 3 + 1 - 1 and 3·3 + 3 + 2 - 2.
    let [outputs, rows, columns] = [6, 7, 12];
    let shapes: [&[usize]; 3] = [&[batch, channels, height, width], &[channels, outputs / 2, 3, 2], &[outputs]];
    let Some([inputs, results]) = super::computed(&shapes, |_, inputs| {
        let y = inputs[0].conv_transpose2d_with(inputs[1], Some(inputs[2]), settings).unwrap();
        assert_eq!(y.shape()[..], [batch, outputs, rows, columns]);
        vec![y]
    }) else {
        return;
    };
    let mut expected = vec![0.0; batch * outputs * rows * columns];
    for (index, y) in expected.iter_mut().enumerate() {
        *y = inputs[2][index / (rows * columns) % outputs];
    }
    for (index, x) in inputs[0].iter().enumerate() {
        let (j, i) = (index % width, index / width % height);
        let (c, n) = (index / (width * height) % channels, index / (width * height * channels));
        for (o, p, q) in (0..3).flat_map(|o| (0..3).flat_map(move |p| (0..2).map(move |q| (o, p, q)))) {
            let (row, column) = ((2 * i + p).wrapping_sub(1), 3 * j + 2 * q);
            if row < rows && column < columns {
                let output = n * outputs + c / 2 * 3 + o;
                expected[(output * rows + row) * columns + column] += x * inputs[1][((c * 3 + o) * 3 + p) * 2 + q];
            }
        }
    }
    assert_eq!(results[0], expected);
}

/// PyTorch's documentation: an output of (in - 1)·stride - 2·padding + dilation·(kernel - 1) + output padding + 1.
#[test]
fn shapes_follow_pytorch_and_onnx() {
    let graph = Graph::new(Mode::Evaluation);
    let shape = |tensor: Result<Tensor<'_>>| tensor.unwrap().shape().to_vec();
    let x = graph.input("x", [2, 4, 12, 50]).unwrap();
    // The examples of ConvTranspose2d: nn.ConvTranspose2d(16, 33, (3, 5), stride=(2, 1), padding=(4, 2)).
    let wide = graph.input("wide", [2, 16, 50, 100]).unwrap();
    let settings = Conv2d::new(33, [3, 5]).stride([2, 1]).padding([4, 2]);
    assert_eq!(shape(wide.conv_transpose2d("a", settings)), [2, 33, 93, 100]);
    // Its second: a convolution of stride 2 and back to the size that it came from.
    let down = x.conv2d("down", Conv2d::new(8, 3).stride(2).padding(1)).unwrap();
    assert_eq!(down.shape()[..], [2, 8, 6, 25]);
    let settings = Conv2d::new(4, 3).stride(2).padding(1).output_padding(1);
    assert_eq!(shape(down.conv_transpose2d("b", settings)), [2, 4, 12, 50]);
    // ONNX's SAME: input · stride, with a kernel smaller than the stride as well.
    let same = Conv2d::new(4, [1, 5]).stride([3, 2]).padding(Padding::SameUpper);
    assert_eq!(shape(x.conv_transpose2d("c", same)), [2, 4, 36, 100]);
    let row = graph.input("row", [1, 4, 10]).unwrap();
    assert_eq!(shape(row.conv_transpose1d("d", Conv1d::new(6, 4).stride(3).dilation(2).padding(2))), [1, 6, 30]);
    let cube = graph.input("cube", [1, 4, 5, 6, 7]).unwrap();
    assert_eq!(shape(cube.conv_transpose3d("e", Conv3d::new(6, 2).stride([2, 1, 3]))), [1, 6, 10, 7, 20]);
    assert_eq!(graph.tensor("e.weight").unwrap().shape()[..], [4, 6, 2, 2, 2]);
    assert_eq!(graph.tensor("e.bias").unwrap().shape()[..], [6]);
}

/// SAME_UPPER takes the odd element away from the end, SAME_LOWER from the beginning.
#[test]
fn same_padding_takes_from_one_end() {
    for (padding, expected) in
        [(Padding::SameUpper, [1.0, 10.0, 102.0, 20.0]), (Padding::SameLower, [10.0, 102.0, 20.0, 200.0])]
    {
        // 1, 10, 100 + 2, 20, 200, one of which is too many.
        let graph = Graph::new(Mode::Evaluation);
        let (x, w) = (graph.input("x", [1, 1, 2]).unwrap(), graph.input("w", [1, 1, 3]).unwrap());
        let y = x.conv_transpose1d_with(w, None, Conv1d::new(1, 3).stride(2).padding(padding)).unwrap();
        let mut evaluator = omma::Evaluator::new(&graph, 1);
        evaluator.run(&[("x", &[1.0, 2.0]), ("w", &[1.0, 10.0, 100.0])]).unwrap();
        assert_eq!(evaluator.value(y), expected, "{padding:?}");
    }
}
