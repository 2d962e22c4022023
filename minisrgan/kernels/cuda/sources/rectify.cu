// The rectifiers; formulas at minisrgan.ops.prelu and leaky_relu. each: 1 for a slope per channel, 0 for a single one.

// y = x where x > 0, else a x
KERNEL prelu(Real *y, const Real *x, const Real *slope, Index n, Index C, Index each)
{
    EACH(k, n) y[k] = x[k] > 0 ? x[k] : slope[k % C * each] * x[k];
}

// grad_x = g where x > 0, else a g; grad_slope[c] = sum of g * min(x, 0); g is grad_y
KERNEL prelu_gradient(Real *grad_x, Real *grad_slope, Real *sums, const Real *g, const Real *x, const Real *slope,
                      Index rows, Index C, Index each)
{
    Index c = CHANNEL;
    Real sum = 0;
    if (c < C)
        ROWS(r, rows) {
            size_t k = (size_t)r * C + c;
            grad_x[k] = x[k] > 0 ? g[k] : slope[c * each] * g[k];
            sum += x[k] > 0 ? 0 : g[k] * x[k];
        }
    keep(sums, 0, 1, C, sum);
    if (is_last()) {
        sum = total(sums, 0, 1, C);
        if (threadIdx.y == 0 && c < C)
            grad_slope[c] = sum;
    }
}

// y = x where x > 0, else a x; for a = 0, y is 0 even for infinite x < 0. NaN stays NaN.
KERNEL leaky_relu(Real *y, const Real *x, Index n, double slope)
{
    EACH(k, n) y[k] = !(x[k] <= 0) ? x[k] : slope == 0 ? 0 : (Real)slope * x[k];
}

// grad_x = g where y > 0, else a g, which for a = 0 is 0 even for infinite g
KERNEL leaky_relu_gradient(Real *grad_x, const Real *g, const Real *y, Index n, double slope)
{
    EACH(k, n) grad_x[k] = y[k] > 0 ? g[k] : slope == 0 ? 0 : (Real)slope * g[k];
}
