// Definitions for all files of this folder.
//
// Real   float or double, set by -DReal=... when a file is compiled
// Index  int, or long long for a launch of 2^30 elements and more: a GPU takes several times as long to divide 64 bits
// EACH   the elements 0 .. n-1, distributed over all threads: of T threads, thread t takes t, t + T, t + 2T ...
//
// UNROLL  the compiler writes out a loop, so that the arrays that it runs over are registers
//
// A kernel's arguments come in one order: what it writes, what it reads, sizes, numbers.

#define KERNEL extern "C" __global__ void
#define EACH(k, n) \
    for (Index k = blockIdx.x * (Index)blockDim.x + threadIdx.x; k < (n); k += (Index)blockDim.x * gridDim.x)
#ifdef __CUDACC__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif
