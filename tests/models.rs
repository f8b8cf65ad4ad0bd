//! The networks: as many parameters as published.

use omma::models::{GoogLeNet, InceptionV3, MODELS, Model};
use omma::{Graph, Mode};

/// Learned values, as published: where torchvision has the network, the `num_params` of its weights' metadata
/// (<https://docs.pytorch.org/vision/stable/models.html>), else as the comment says.
const PARAMETERS: [(&str, usize); 33] = [
    // LeCun et al. 1998 with all maps connected: 156 + 2,416 + 48,120 + 10,164 + 850.
    ("lenet5", 61_706),
    ("alexnet", 61_100_840),
    // Caffe's bvlc_alexnet, the same network.
    ("alexnet_2012", 60_965_224),
    // By hand from the paper's figure 3: 14,208 + 614,656 + 885,120 + 1,327,488 + 884,992 + 37,752,832 + 16,781,312 + 4,097,000.
    ("zfnet", 62_357_608),
    ("vgg11", 132_863_336),
    ("vgg13", 133_047_848),
    ("vgg16", 138_357_544),
    ("vgg19", 143_667_240),
    ("vgg11_bn", 132_868_840),
    ("vgg13_bn", 133_053_736),
    ("vgg16_bn", 138_365_992),
    ("vgg19_bn", 143_678_248),
    ("googlenet", 6_624_904),
    // torchvision counts the auxiliary classifier, 27,161,264 in all.
    ("inception_v3", 23_834_568),
    ("resnet18", 11_689_512),
    ("resnet34", 21_797_672),
    ("resnet50", 25_557_032),
    ("resnet101", 44_549_160),
    ("resnet152", 60_192_808),
    ("resnext50_32x4d", 25_028_904),
    ("densenet121", 7_978_856),
    ("squeezenet1_0", 1_248_424),
    ("squeezenet1_1", 1_235_496),
    // The trainable ones of Keras' MobileNet (https://keras.io/api/applications): 4.2 million in the paper.
    ("mobilenet_v1", 4_231_976),
    ("mobilenet_v2", 3_504_872),
    ("mobilenet_v3_small", 2_542_856),
    ("mobilenet_v3_large", 5_483_032),
    // By hand from the paper's table 1 with three groups; its authors' code says 1.9 million
    // (<https://github.com/megvii-model/ShuffleNet-Series>).
    ("shufflenet_v1", 1_865_728),
    ("shufflenet_v2", 2_278_604),
    ("efficientnet_b0", 5_288_548),
    // By hand from the paper's figure 1, for one colour and two classes.
    ("unet", 31_030_658),
    // By hand from the paper's table 1, which says 0.5 million: 10,368 + 49,280 + 98,560 + 393,728 of the convolutions,
    // 2,048 of the norms, 5,130 of the last layer.
    ("m5", 559_114),
    // 18,765 x 300 + (3 + 4 + 5) x 300 x 100 + 300 + 300 x 2 + 2: the paper's section 3 and table 1.
    ("text_cnn", 5_990_402),
];

#[test]
fn have_as_many_parameters_as_published() {
    let counted: Vec<(&str, usize)> = MODELS.iter().map(|model| (model.name, built(model).parameter_count())).collect();
    assert_eq!(counted, PARAMETERS);
    // With the classifiers that only training needs: torchvision's own counts.
    let graph = Graph::new(Mode::Training);
    GoogLeNet.build_with_auxiliaries(graph.input("x", [1, 3, 224, 224]).unwrap(), 1000).unwrap();
    assert_eq!(graph.parameter_count(), 13_004_888);
    let graph = Graph::new(Mode::Training);
    InceptionV3.build_with_auxiliary(graph.input("x", [2, 3, 299, 299]).unwrap(), 1000).unwrap();
    assert_eq!(graph.parameter_count(), 27_161_264);
}

fn built(model: &Model) -> Graph {
    let graph = Graph::new(Mode::Training);
    if let Err(error) = model.add_to(&graph, 1, model.classes) {
        panic!("{}: {error}", model.name);
    }
    graph
}
