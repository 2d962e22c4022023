// Sums over the rows of a matrix (rows, C), one a channel.
//
// A block of threads is as wide as a strip of channels (32, or all there are) and several rows high. Thread (x, y) adds
// up channel c in every row that is y modulo the height of all blocks in its strip; then the block adds up its threads,
// and writes one row of sums. The sums of all blocks are a matrix again, short enough for one block to add up.
// Each sum is taken in one order, so that two runs give equal bits; an atomic addition would not.

#define CHANNEL (Index)(blockIdx.x * blockDim.x + threadIdx.x)
#define ROWS(r, rows) \
    for (Index r = blockIdx.y * (Index)blockDim.y + threadIdx.y; r < (rows); r += (Index)blockDim.y * gridDim.y)

// Return to the topmost threads of a block the sum of what the threads below each hold.
static __device__ Real add_up(Real value)
{
    __shared__ Real held[256];
    held[threadIdx.y * blockDim.x + threadIdx.x] = value;
    __syncthreads();
    if (threadIdx.y == 0)
        for (int y = 1; y < (int)blockDim.y; y++)
            value += held[y * blockDim.x + threadIdx.x];
    __syncthreads();  // before the next sum comes in
    return value;
}

// sums[block, c] = sum of x[r, c] over the block's rows
KERNEL sums(Real *sums, const Real *x, Index rows, Index C)
{
    Index c = CHANNEL;
    Real sum = 0;
    if (c < C)
        ROWS(r, rows) sum += x[(size_t)r * C + c];
    sum = add_up(sum);
    if (threadIdx.y == 0 && c < C)
        sums[blockIdx.y * C + c] = sum;
}
