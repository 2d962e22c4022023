// Kernels that move or select numbers without computing any.

// Return the index in x (N, H, W, C*r*r) of the element that pixel shuffle moves to element k of y (N, r*H, r*W, C):
// y[n, r*h + i, r*w + j, c] = x[n, h, w, c*r*r + i*r + j]. Rows are numbered through all images.
static __device__ Index origin(Index k, Index W, Index C, Index r)
{
    Index c = k % C, col = k / C % (W * r), row = k / C / (W * r);
    return ((row / r * W + col / r) * C + c) * r * r + row % r * r + col % r;
}

KERNEL pixel_shuffle(Real *y, const Real *x, Index n, Index W, Index C, Index r)
{
    EACH(k, n) y[k] = x[origin(k, W, C, r)];
}

KERNEL pixel_unshuffle(Real *x, const Real *y, Index n, Index W, Index C, Index r)
{
    EACH(k, n) x[origin(k, W, C, r)] = y[k];
}

// Return the index in x (N, H, W, C) of the first element of the s x s window of element k of y (N, H/s, W/s, C).
static __device__ size_t window(Index k, Index H, Index W, Index C, Index s)
{
    Index c = k % C, w = k / C % (W / s), h = k / C / (W / s) % (H / s), n = k / C / (W / s) / (H / s);
    return (((size_t)n * H + h * s) * W + w * s) * C + c;
}

// y = the largest number of its window; NaN if the window holds one
KERNEL max_pool(Real *y, const Real *x, Index n, Index H, Index W, Index C, Index s)
{
    EACH(k, n) {
        size_t first = window(k, H, W, C, s);
        Real best = x[first];
        for (Index i = 0; i < s; i++)
            for (Index j = 0; j < s; j++) {
                Real value = x[first + ((size_t)i * W + j) * C];
                best = value > best || value != value ? value : best;
            }
        y[k] = best;
    }
}

// result = the value of the window at its first element that equals y, 0 at the others
KERNEL to_first_maximum(Real *result, const Real *values, const Real *x, const Real *y, Index n,
                        Index H, Index W, Index C, Index s)
{
    EACH(k, n) {
        size_t first = window(k, H, W, C, s);
        Real left = values[k];  // 0 once it is written
        for (Index i = 0; i < s; i++)
            for (Index j = 0; j < s; j++) {
                size_t at = first + ((size_t)i * W + j) * C;
                result[at] = x[at] == y[k] ? left : 0;
                left = x[at] == y[k] ? 0 : left;
            }
    }
}
