"""What a file is, told from its first bytes; and which other architecture it holds, told from the names of arrays."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from minisrgan.errors import WeightsError
from minisrgan.weights.foreign.archive import open_zip
from minisrgan.weights.foreign.torch_file import MAGIC
from minisrgan.weights.store import refusal

# How files begin that hold no weights, or none that are read here: what they are, what to do.
_STARTS = {
    b"version https://git-lfs": "a pointer of Git LFS, without the weights; run `git lfs pull` where it lies",
    b"\x93NUMPY": "a single array of NumPy, without a name; save all of them with numpy.savez",
    b"\x1f\x8b": "packed with gzip; unpack it", b"BZh": "packed with bzip2; unpack it",
    b"\xfd7zXZ": "packed with xz; unpack it", b"7z\xbc\xaf": "a 7z archive; unpack it",
    b"Rar!": "a RAR archive; unpack it", b"MATLAB": "a MATLAB file; save its arrays with numpy.savez",
    b"GGUF": "a GGUF file, of a language model as a rule", b"\x89PNG": "a picture", b"\xff\xd8\xff": "a picture",
    **{bytes([0x80, n]): "a pickle, which is a program, and not as PyTorch writes it; save its arrays with numpy.savez"
       for n in range(2, 6)},
    b"\x08": "a graph of ONNX or TensorFlow; save the weights from the program that it was exported from",
}  # fmt: skip
_SCRIPT = (
    "a program that PyTorch exported, TorchScript or torch.export, with its weights inside; save them alone: "
    "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')"
)
_KERAS = "Keras's newer format; save the weights in Keras: model.save_weights('weights.h5')"

# Other networks, and words that stand in the names of their arrays, small letters for capitals; one with ! does not.
_FAMILIES = {
    "ESRGAN, BSRGAN or Real-ESRGAN (RRDBNet)": "rdb1.conv1.",
    "PyTorch-GAN's SRGAN, which normalises within its upsampling": "res_blocks.0.conv_block.0.",
    "sgrvinod's SRGAN, whose input has ImageNet's mean subtracted": "residual_blocks.0.conv_block1.conv_block.0.",
    "leftthomas/SRGAN of before 2019, with a PReLU in place of its last batch norm":
        "block8.0.conv. block7.1.weight !block7.1.running_mean",
    "Keras's discriminator of krasserm/super-resolution. TensorFlow pads it at the right and below only, so that it "
    "would judge photographs turned by 180 degrees": "conv2d_7.kernel dense_1.kernel",
    "HAT": "overlap_attn.", "DAT": "attn.attns.", "SwinIR, Swin2SR or another transformer of windows": "attn.qkv.",
    "Restormer": "encoder_level1.", "NAFNet": "encoders.0.0.", "RCAN": "conv_du.", "RCAN, as in BasicSR": "rcab.",
    "HAN or SAN": "soca.", "RDN": "sfenet1.", "DBPN": "up1.up_conv1.", "IMDN": "imdb1.", "RFDN": "c1_d.",
    "MSRResNet or MSRGAN of BasicSR, without batch norms": "upconv1. conv_last.",
    "MSRResNet of MMEditing, without batch norms": "trunk_net.0.conv1.",
    "SRResNet of the first BasicSR, with the names of a Sequential": "sub.0.res.0.",
    "EDSR or MDSR": "body.0.body.0. tail.", "EDSR, as in BasicSR": "conv_after_body. upsample.0.",
    "Real-ESRGAN's compact network (SRVGGNetCompact)": "body.0.weight body.1.weight body.2.bias",
    "CARN": "b1.b1.", "LapSRN": "convt_i1.", "VDSR": "residual_layer.", "FSRCNN": "first_part. mid_part.",
    "Real-CUGAN or waifu2x (UpCUNet)": "unet1.conv1.", "SPAN": "block_1.c1_r.", "GFPGAN": "stylegan_decoder.",
    "CodeFormer": "quantize.embedding.", "a diffusion model": "down_blocks.0.", "Stable Diffusion": "diffusion_model.",
    "a discriminator with spectral norms, such as Real-ESRGAN's U-Net": "weight_orig",
    "BasicSR's discriminator in the style of VGG": "conv0_0. linear1.", "LPIPS": "lin0.model.1.",
    "leftthomas/SRGAN's discriminator": "net.0.weight net.26.weight", "VGG16": "features.17.weight features.28.weight",
    "VGG19 or VGG16 with batch norms": "features.1.running_mean", "VGG16, as in Keras": "block4_conv3. !block3_conv4.",
    "ResNet": "layer1.0. layer4.0.", "Inception": "mixed_5b.", "a LoRA": "lora_",
    "SRCNN, ESPCN or another small stack of convolutions": "conv1.weight conv2.weight conv3.weight",
    "no network, but the state of an optimizer": "exp_avg",
}  # fmt: skip


def kind_of(path: str | Path) -> str:
    """Return "torch", "npz", "h5" or "safetensors"; WeightsError that says what the file is if it is none of them."""
    if Path(path).is_dir():
        raise refusal(path, "a folder", "give the file in it that holds the weights")
    with open(path, "rb") as file:
        start = file.read(512)
    if start.startswith(b"PK\x03\x04"):
        with open_zip(path) as archive:
            parts = archive.namelist()
        if any("/code/" in part or part.endswith(("constants.pkl", "archive_format")) for part in parts):
            raise _refused(path, _SCRIPT)
        if any(part.endswith("data.pkl") for part in parts):
            return "torch"
        if all(part.endswith(".npy") for part in parts) and parts:
            return "npz"
        keras = "model.weights.h5" in parts
        raise _refused(path, _KERAS if keras else f"a zip archive, of {', '.join(parts[:3])[:100]}; unpack it")
    if start.startswith(MAGIC):
        return "torch"
    if start.startswith(b"\x89HDF"):
        return "h5"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= Path(path).stat().st_size:
        return "safetensors"
    raise _refused(path, _other(start))


def _other(start: bytes) -> str:
    if known := next((told for begin, told in _STARTS.items() if start.startswith(begin)), ""):
        return known
    if not start:
        return "an empty file; get it again"
    if start[4:8] == b"TFL3":
        return "a graph of TensorFlow Lite; save the weights from the program that it was exported from"
    if start[257:262] == b"ustar":
        return "a tar archive; unpack it"
    text = start.decode("utf-8", errors="replace").strip("\ufeff\r\n\t ")
    if text[:1] == "<":
        return "a web page, which a download gives in place of a file that needs a click or a login; get it again"
    if sum((c.isprintable() or c.isspace()) and c != "\ufffd" for c in text) > 0.95 * len(text):
        return f"text, which begins with {text[:60].splitlines()[:1]}; get the file with the weights"
    return "of no known kind, or damaged; get it again"


def _refused(path: str | Path, told: str) -> WeightsError:
    what, _, fix = told.partition("; ")
    return refusal(path, what, fix or "give the file with the weights")


def family_of(names: Collection[str]) -> str:
    """Say which other architecture has arrays of these names; "" if it is none that is known.

    >>> family_of(["conv_first.weight", "body.0.rdb1.conv1.weight"])
    'ESRGAN, BSRGAN or Real-ESRGAN (RRDBNet)'
    """
    text = "\n".join(names).lower()
    for title, words in _FAMILIES.items():
        if all((word.strip("!") in text) != word.startswith("!") for word in words.split()):
            return title
    return ""
