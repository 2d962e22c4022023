// Batch normalization over (rows, C); formulas at minisrgan.ops.batch_norm.

// Mean, variance and 1 / sqrt(variance + eps) of each channel, from its sum. The variance is computed from x - mean,
// since E[x^2] - E[x]^2 would lose digits by cancellation. The rounding error of the mean is corrected: in a constant
// channel, x - mean is nothing else. If keeps is 1, the running statistics are updated, with the variance divided by
// rows - 1.
KERNEL statistics(Real *mean, Real *variance, Real *inv_std, Real *running_mean, Real *running_var, Real *sums,
                  const Real *x, const Real *plain, Index rows, Index C, Index keeps, double momentum, double eps)
{
    Index c = CHANNEL;
    Real sum = 0, squares = 0, centre = c < C ? plain[c] / rows : 0;
    if (c < C)
        ROWS(r, rows) {
            Real centred = x[(size_t)r * C + c] - centre;
            sum += centred;
            squares += centred * centred;
        }
    keep(sums, 0, 2, C, sum);
    keep(sums, 1, 2, C, squares);
    if (is_last()) {
        sum = total(sums, 0, 2, C);
        squares = total(sums, 1, 2, C);
        if (threadIdx.y == 0 && c < C) {
            const Real rest = sum / rows, value = squares / rows - rest * rest, part = momentum, least = eps;
            mean[c] = centre + rest;
            variance[c] = value < 0 ? 0 : value;
            inv_std[c] = 1 / sqrt(variance[c] + least);
            if (keeps) {
                const Real unbiased = variance[c] * ((Real)rows / (rows - 1));
                running_mean[c] = (1 - part) * running_mean[c] + part * mean[c];
                running_var[c] = (1 - part) * running_var[c] + part * unbiased;
            }
        }
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

// grad_bias = sum of g, grad_weight = sum of g * x_hat; g is grad_y and x_hat = (x - mean) * inv_std
KERNEL gradient_sums(Real *grad_bias, Real *grad_weight, Real *sums, const Real *g, const Real *x, const Real *mean,
                     const Real *inv_std, Index rows, Index C)
{
    Index c = CHANNEL;
    Real sum = 0, weighted = 0;
    if (c < C)
        ROWS(r, rows) {
            size_t k = (size_t)r * C + c;
            sum += g[k];
            weighted += g[k] * ((x[k] - mean[c]) * inv_std[c]);
        }
    keep(sums, 0, 2, C, sum);
    keep(sums, 1, 2, C, weighted);
    if (is_last()) {
        sum = total(sums, 0, 2, C);
        weighted = total(sums, 1, 2, C);
        if (threadIdx.y == 0 && c < C) {
            grad_bias[c] = sum;
            grad_weight[c] = weighted;
        }
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
