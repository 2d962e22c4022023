"""The kernels for NVIDIA GPUs, under the names and with the arguments of their twins for the CPU.

The inner loops are CUDA C, in ``sources/*.cu``. `launch` compiles and starts them, `conv` and `elementwise` prepare the
arrays for that, `check` looks whether this machine has all that is needed.
"""
