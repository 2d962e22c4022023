// m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2,  p <- p - step_size * m / (sqrt(v) + eps)
// The corrections by 1 - beta^t are in step_size and eps; see minisrgan.kernels.adam.
KERNEL adam(Real *p, Real *m, Real *v, const Real *g, Index n,
            double beta1, double beta2, double step_size, double eps)
{
    const Real b1 = beta1, b2 = beta2, rest1 = 1 - beta1, rest2 = 1 - beta2, size = step_size, least = eps;
    EACH(k, n) {
        m[k] = b1 * m[k] + rest1 * g[k];
        v[k] = b2 * v[k] + rest2 * (g[k] * g[k]);
        p[k] -= size * (m[k] / (sqrt(v[k]) + least));
    }
}
