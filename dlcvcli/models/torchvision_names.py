"""Torchvision's classifiers besides those of the registry with their own entries. Imports no torch.

The table is `torchvision.models.list_models(module=torchvision.models)`, which a test compares.
"""

from __future__ import annotations

# Name -> its weights in torchvision that `imagenet` means, at the size of the images below.
CLASSIFIERS: dict[str, str] = {
    "alexnet": "AlexNet_Weights.IMAGENET1K_V1",
    "convnext_base": "ConvNeXt_Base_Weights.IMAGENET1K_V1",
    "convnext_large": "ConvNeXt_Large_Weights.IMAGENET1K_V1",
    "convnext_small": "ConvNeXt_Small_Weights.IMAGENET1K_V1",
    "densenet121": "DenseNet121_Weights.IMAGENET1K_V1",
    "densenet161": "DenseNet161_Weights.IMAGENET1K_V1",
    "densenet169": "DenseNet169_Weights.IMAGENET1K_V1",
    "densenet201": "DenseNet201_Weights.IMAGENET1K_V1",
    "efficientnet_b1": "EfficientNet_B1_Weights.IMAGENET1K_V2",
    "efficientnet_b2": "EfficientNet_B2_Weights.IMAGENET1K_V1",
    "efficientnet_b3": "EfficientNet_B3_Weights.IMAGENET1K_V1",
    "efficientnet_b4": "EfficientNet_B4_Weights.IMAGENET1K_V1",
    "efficientnet_b5": "EfficientNet_B5_Weights.IMAGENET1K_V1",
    "efficientnet_b6": "EfficientNet_B6_Weights.IMAGENET1K_V1",
    "efficientnet_b7": "EfficientNet_B7_Weights.IMAGENET1K_V1",
    "efficientnet_v2_l": "EfficientNet_V2_L_Weights.IMAGENET1K_V1",
    "efficientnet_v2_m": "EfficientNet_V2_M_Weights.IMAGENET1K_V1",
    "efficientnet_v2_s": "EfficientNet_V2_S_Weights.IMAGENET1K_V1",
    "googlenet": "GoogLeNet_Weights.IMAGENET1K_V1",
    "inception_v3": "Inception_V3_Weights.IMAGENET1K_V1",
    "maxvit_t": "MaxVit_T_Weights.IMAGENET1K_V1",
    "mnasnet0_5": "MNASNet0_5_Weights.IMAGENET1K_V1",
    "mnasnet0_75": "MNASNet0_75_Weights.IMAGENET1K_V1",
    "mnasnet1_0": "MNASNet1_0_Weights.IMAGENET1K_V1",
    "mnasnet1_3": "MNASNet1_3_Weights.IMAGENET1K_V1",
    "mobilenet_v2": "MobileNet_V2_Weights.IMAGENET1K_V2",
    "regnet_x_16gf": "RegNet_X_16GF_Weights.IMAGENET1K_V2",
    "regnet_x_1_6gf": "RegNet_X_1_6GF_Weights.IMAGENET1K_V2",
    "regnet_x_32gf": "RegNet_X_32GF_Weights.IMAGENET1K_V2",
    "regnet_x_3_2gf": "RegNet_X_3_2GF_Weights.IMAGENET1K_V2",
    "regnet_x_400mf": "RegNet_X_400MF_Weights.IMAGENET1K_V2",
    "regnet_x_800mf": "RegNet_X_800MF_Weights.IMAGENET1K_V2",
    "regnet_x_8gf": "RegNet_X_8GF_Weights.IMAGENET1K_V2",
    "regnet_y_128gf": "RegNet_Y_128GF_Weights.IMAGENET1K_SWAG_E2E_V1",
    "regnet_y_16gf": "RegNet_Y_16GF_Weights.IMAGENET1K_V2",
    "regnet_y_1_6gf": "RegNet_Y_1_6GF_Weights.IMAGENET1K_V2",
    "regnet_y_32gf": "RegNet_Y_32GF_Weights.IMAGENET1K_V2",
    "regnet_y_3_2gf": "RegNet_Y_3_2GF_Weights.IMAGENET1K_V2",
    "regnet_y_400mf": "RegNet_Y_400MF_Weights.IMAGENET1K_V2",
    "regnet_y_800mf": "RegNet_Y_800MF_Weights.IMAGENET1K_V2",
    "regnet_y_8gf": "RegNet_Y_8GF_Weights.IMAGENET1K_V2",
    "resnet152": "ResNet152_Weights.IMAGENET1K_V2",
    "resnext101_32x8d": "ResNeXt101_32X8D_Weights.IMAGENET1K_V2",
    "resnext101_64x4d": "ResNeXt101_64X4D_Weights.IMAGENET1K_V1",
    "resnext50_32x4d": "ResNeXt50_32X4D_Weights.IMAGENET1K_V2",
    "shufflenet_v2_x0_5": "ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1",
    "shufflenet_v2_x1_0": "ShuffleNet_V2_X1_0_Weights.IMAGENET1K_V1",
    "shufflenet_v2_x1_5": "ShuffleNet_V2_X1_5_Weights.IMAGENET1K_V1",
    "shufflenet_v2_x2_0": "ShuffleNet_V2_X2_0_Weights.IMAGENET1K_V1",
    "squeezenet1_0": "SqueezeNet1_0_Weights.IMAGENET1K_V1",
    "squeezenet1_1": "SqueezeNet1_1_Weights.IMAGENET1K_V1",
    "swin_b": "Swin_B_Weights.IMAGENET1K_V1",
    "swin_s": "Swin_S_Weights.IMAGENET1K_V1",
    "swin_t": "Swin_T_Weights.IMAGENET1K_V1",
    "swin_v2_b": "Swin_V2_B_Weights.IMAGENET1K_V1",
    "swin_v2_s": "Swin_V2_S_Weights.IMAGENET1K_V1",
    "swin_v2_t": "Swin_V2_T_Weights.IMAGENET1K_V1",
    "vgg11": "VGG11_Weights.IMAGENET1K_V1",
    "vgg11_bn": "VGG11_BN_Weights.IMAGENET1K_V1",
    "vgg13": "VGG13_Weights.IMAGENET1K_V1",
    "vgg13_bn": "VGG13_BN_Weights.IMAGENET1K_V1",
    "vgg16_bn": "VGG16_BN_Weights.IMAGENET1K_V1",
    "vgg19": "VGG19_Weights.IMAGENET1K_V1",
    "vgg19_bn": "VGG19_BN_Weights.IMAGENET1K_V1",
    "vit_b_16": "ViT_B_16_Weights.IMAGENET1K_V1",
    "vit_b_32": "ViT_B_32_Weights.IMAGENET1K_V1",
    "vit_h_14": "ViT_H_14_Weights.IMAGENET1K_SWAG_LINEAR_V1",
    "vit_l_16": "ViT_L_16_Weights.IMAGENET1K_V1",
    "vit_l_32": "ViT_L_32_Weights.IMAGENET1K_V1",
    "wide_resnet101_2": "Wide_ResNet101_2_Weights.IMAGENET1K_V2",
    "wide_resnet50_2": "Wide_ResNet50_2_Weights.IMAGENET1K_V2",
}

# Those with position embeddings or windows for one size, in pixels.
ONLY_SIZES: dict[str, tuple[int, int]] = {
    name: (224, 224) for name in CLASSIFIERS if name.startswith(("vit_", "maxvit_"))
}

# Smallest height and width of those that need more than `LEAST_SIDE`.
LEAST_SIDE = 32
LEAST_SIDES: dict[str, int] = {"alexnet": 63, "inception_v3": 75}
