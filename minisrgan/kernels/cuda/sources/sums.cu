// Sums over the rows of a matrix (rows, C), one per channel.
//
// A block of threads is as wide as a strip of channels (32, or C if there are fewer) and several rows high. Each thread
// adds up its channel over every T-th row, where T is the number of threads that share the channel. Then the block adds
// up the sums of its threads and writes one row of sums. The last block of a strip to finish adds up those rows.
// Each sum is computed in a fixed order, so that two runs give equal bits, which atomic additions would not. Only the
// finished blocks are counted atomically: whichever is the last, it adds up the same rows in the same order.

#define CHANNEL (Index)(blockIdx.x * blockDim.x + threadIdx.x)
#define ROWS(r, rows) \
    for (Index r = blockIdx.y * (Index)blockDim.y + threadIdx.y; r < (rows); r += (Index)blockDim.y * gridDim.y)

// Return the sum of value over the threads of a block with the same threadIdx.x; only the threads with y = 0 get it.
static __device__ Real add_up(Real value)
{
    __shared__ Real held[256];
    held[threadIdx.y * blockDim.x + threadIdx.x] = value;
    __syncthreads();
    if (threadIdx.y == 0)
        for (int y = 1; y < (int)blockDim.y; y++)
            value += held[y * blockDim.x + threadIdx.x];
    __syncthreads();  // before the next call overwrites `held`
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

// Return whether all blocks of this strip have written their sums. Each of them must call this once.
static __device__ unsigned finished[512];  // blocks of each strip; 0 between launches

static __device__ int is_last(void)
{
    __shared__ int last;
    __threadfence();  // all blocks see what this thread has written before its block is counted
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0) {
        last = gridDim.y == 1 || atomicAdd(&finished[blockIdx.x], 1) == gridDim.y - 1;
        if (last && gridDim.y > 1)
            finished[blockIdx.x] = 0;
    }
    __syncthreads();
    return last;
}

// Return the sum over blocks of sums[block, row, c], in the last block to finish; only its threads with y = 0 get it.
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
