// Batch normalisation over (rows, C); formulas at minisrgan.ops.batch_norm.

// sums[block, 0, c] = sum of x - mean, sums[block, 1, c] = sum of (x - mean)^2, with mean = total / rows. From a mean
// that is known, since E[x^2] - E[x]^2 would cancel.
KERNEL centred_sums(Real *sums, const Real *x, const Real *total, Index rows, Index C)
{
    Index c = CHANNEL;
    Real sum = 0, squares = 0;
    if (c < C) {
        const Real mean = total[c] / rows;
        ROWS(r, rows) {
            Real centred = x[(size_t)r * C + c] - mean;
            sum += centred;
            squares += centred * centred;
        }
    }
    sum = add_up(sum);
    squares = add_up(squares);
    if (threadIdx.y == 0 && c < C) {
        sums[2 * blockIdx.y * C + c] = sum;
        sums[(2 * blockIdx.y + 1) * C + c] = squares;
    }
}

// Mean and variance from these sums: the mean is corrected by what its rounding left, which in a channel of constants
// is all that x - mean consists of.
KERNEL moments(Real *mean, Real *variance, const Real *total, const Real *sums, Index C, Index rows)
{
    EACH(c, C) {
        Real rest = sums[c] / rows, value = sums[C + c] / rows - rest * rest;
        mean[c] = total[c] / rows + rest;
        variance[c] = value < 0 ? 0 : value;
    }
}

// y = (x - mean) * inv_std * weight + bias
KERNEL normalize(Real *y, const Real *x, const Real *mean, const Real *inv_std, const Real *weight, const Real *bias,
                 Index n, Index C)
{
    EACH(k, n) {
        Index c = k % C;
        y[k] = (x[k] - mean[c]) * (inv_std[c] * weight[c]) + bias[c];
    }
}

// sums[block, 0, c] = sum of g, sums[block, 1, c] = sum of g * x_hat; g is grad_y and x_hat = (x - mean) * inv_std
KERNEL gradient_sums(Real *sums, const Real *g, const Real *x, const Real *mean, const Real *inv_std, Index rows, Index C)
{
    Index c = CHANNEL;
    Real sum = 0, weighted = 0;
    if (c < C)
        ROWS(r, rows) {
            size_t k = (size_t)r * C + c;
            sum += g[k];
            weighted += g[k] * ((x[k] - mean[c]) * inv_std[c]);
        }
    sum = add_up(sum);
    weighted = add_up(weighted);
    if (threadIdx.y == 0 && c < C) {
        sums[2 * blockIdx.y * C + c] = sum;
        sums[(2 * blockIdx.y + 1) * C + c] = weighted;
    }
}

// grad_x = weight * inv_std * (g - grad_bias / rows - x_hat * grad_weight / rows)
KERNEL normalize_gradient(Real *grad_x, const Real *g, const Real *x, const Real *mean, const Real *inv_std,
                          const Real *weight, const Real *grad_bias, const Real *grad_weight,
                          Index n, Index C, Index rows)
{
    EACH(k, n) {
        Index c = k % C;
        Real x_hat = (x[k] - mean[c]) * inv_std[c];
        grad_x[k] = weight[c] * inv_std[c] * (g[k] - grad_bias[c] / rows - x_hat * grad_weight[c] / rows);
    }
}
