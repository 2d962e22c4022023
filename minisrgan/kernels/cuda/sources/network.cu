// Kernels that work on many arrays in one launch: the arrays of a network, anywhere in memory.
//
// blockIdx.y is the number of a group of arrays of equal size. Row blockIdx.y of the table holds the addresses of the
// arrays of the group, and then the number of elements of each.

#define ROW(width) const long long *row = table + ((width) + 1) * blockIdx.y; const Index n = row[width]
#define AT(i) ((Real *)row[i])

// m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2,  p <- p - step_size * m / (sqrt(v) + eps)
// The corrections by 1 - beta^t are in step_size and eps, a pair of numbers per group; see kernels/network.py.
KERNEL adam(const long long *table, const double *numbers, double beta1, double beta2)
{
    ROW(4);
    Real *p = AT(0), *m = AT(1), *v = AT(2);
    const Real *g = AT(3);
    const Real b1 = beta1, b2 = beta2, rest1 = 1 - beta1, rest2 = 1 - beta2;
    const Real size = numbers[2 * blockIdx.y], least = numbers[2 * blockIdx.y + 1];
    EACH(k, n) {
        m[k] = b1 * m[k] + rest1 * g[k];
        v[k] = b2 * v[k] + rest2 * (g[k] * g[k]);
        p[k] -= size * (m[k] / (sqrt(v[k]) + least));
    }
}

// average <- average + part * (value - average)
KERNEL follow(const long long *table, const double *part)
{
    ROW(2);
    Real *average = AT(0);
    const Real *value = AT(1);
    EACH(k, n) average[k] += (Real)*part * (value[k] - average[k]);
}

// sums[array, block] = sum of g^2 over the elements that the block takes
KERNEL squares(Real *sums, const long long *table)
{
    ROW(1);
    const Real *g = AT(0);
    Real sum = 0;
    for (Index k = blockIdx.x * (Index)blockDim.y + threadIdx.y; k < n; k += (Index)blockDim.y * gridDim.x)
        sum += g[k] * g[k];
    sum = add_up(sum);
    if (threadIdx.y == 0)
        sums[blockIdx.y * gridDim.x + blockIdx.x] = sum;
}
