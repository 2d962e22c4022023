// Sums over the rows of a matrix (rows, C), one a channel.
//
// A block of threads is as wide as a strip of channels (32, or all there are) and several rows high. Thread (x, y) adds
// up channel c in every row that is y modulo the height of all blocks in its strip; then the block adds up its threads,
// and writes one row of sums. The block of a strip that is the last to do so adds up those rows.
// Each sum is taken in one order, so that two runs give equal bits; an atomic addition would not. Only blocks are counted
// by one: whichever is the last, it adds up the same rows in the same order.

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

// Write the sum of a block to one of the rows of sums[block, row, c].
static __device__ void keep(Real *sums, Index row, Index rows, Index C, Real value)
{
    Index c = CHANNEL;
    value = add_up(value);
    if (threadIdx.y == 0 && c < C)
        sums[(blockIdx.y * rows + row) * C + c] = value;
}

// Tell whether all blocks of this strip have written their sums. To be asked by each of them, once.
static __device__ unsigned finished[512];  // blocks of each strip; 0 between launches

static __device__ int is_last(void)
{
    __shared__ int last;
    __threadfence();  // what this thread has written is there for all before its block is counted
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0) {
        last = gridDim.y == 1 || atomicAdd(&finished[blockIdx.x], 1) == gridDim.y - 1;
        if (last && gridDim.y > 1)
            finished[blockIdx.x] = 0;
    }
    __syncthreads();
    return last;
}

// Return the sum over blocks of a row of sums[block, row, c] to the topmost threads of the last one.
static __device__ Real total(const volatile Real *sums, Index row, Index rows, Index C)
{
    Index c = CHANNEL;
    Real sum = 0;
    if (c < C)
        for (Index block = threadIdx.y; block < gridDim.y; block += blockDim.y)
            sum += sums[(block * rows + row) * C + c];
    return add_up(sum);
}

// result[c] = sum of x[r, c]
KERNEL channel_sums(Real *result, Real *sums, const Real *x, Index rows, Index C)
{
    Index c = CHANNEL;
    Real sum = 0;
    if (c < C)
        ROWS(r, rows) sum += x[(size_t)r * C + c];
    keep(sums, 0, 1, C, sum);
    if (is_last()) {
        sum = total(sums, 0, 1, C);
        if (threadIdx.y == 0 && c < C)
            result[c] = sum;
    }
}
