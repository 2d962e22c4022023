// A convolution as matrix products: what is gathered before one, or scattered after one.
//
// x (N, H, W, C) is an image side. A pixel p = (n, h, w) of (N, Ho, Wo) stands for the window over x that begins at
// row s*h - top and column s*w - left; a block holds the columns of the windows p = first .. first + pixels - 1.
// Addresses within x are 64 bits wide: the 64 feature maps of an 8K picture have more than 2^31 elements.

// columns[p, i, j, c] = x[n, s*h + i - top, s*w + j - left, c], zero outside the image
#define IM2COL(name, Item)                                                                              \
    KERNEL name(Item *columns, const Item *x, Index pixels, Index first, Index H, Index W, Index C,     \
                Index kh, Index kw, Index Ho, Index Wo, Index s, Index top, Index left)                 \
    {                                                                                                   \
        const Item zero = {0};                                                                          \
        EACH(k, pixels * kh * kw * C) {                                                                 \
            Index c = k % C, j = k / C % kw, i = k / C / kw % kh, p = first + k / C / kw / kh;          \
            Index u = p / Wo % Ho * s + i - top, v = p % Wo * s + j - left;                             \
            size_t row = (size_t)(p / Wo / Ho) * H + u;                                                 \
            columns[k] = 0 <= u && u < H && 0 <= v && v < W ? x[(row * W + v) * C + c] : zero;          \
        }                                                                                               \
    }
IM2COL(im2col, Real)
IM2COL(im2col_by_16_bytes, float4)  // four float channels at once, or two doubles; C counts such items

// x[n, u, v, c] += sum of columns[p, i, j, c] over every i, j and p with s*h + i - top = u and s*w + j - left = v
// Each element is summed by one thread, in one order: no atomic additions, and the same bits each time.
// rows   of x that the windows reach, counted through all images, from first_row on
KERNEL col2im(Real *x, const Real *columns, Index rows, Index first_row, Index pixels, Index first,
              Index H, Index W, Index C, Index kh, Index kw, Index Ho, Index Wo, Index s, Index top, Index left)
{
    EACH(k, rows * W * C) {
        Index c = k % C, v = k / C % W, row = first_row + k / C / W, u = row % H, n = row / H;
        Real sum = 0;
        for (Index i = 0; i < kh; i++)
            for (Index j = 0; j < kw; j++) {
                Index sh = u + top - i, sw = v + left - j, h = sh / s, w = sw / s, p = (n * Ho + h) * Wo + w - first;
                if (sh >= 0 && sw >= 0 && sh % s == 0 && sw % s == 0 && h < Ho && w < Wo && 0 <= p && p < pixels)
                    sum += columns[(((size_t)p * kh + i) * kw + j) * C + c];
            }
        x[(size_t)first_row * W * C + k] += sum;
    }
}
