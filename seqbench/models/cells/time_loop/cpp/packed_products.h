// Products of a matrix of few bits, packed, with vectors of few bits: sums of products of whole numbers.
//
// The rows of the matrix stand in groups, interleaved so that a vector register holds the same part of all rows of a
// group, and each row's sum has a lane of its own: nothing is added across lanes.
//
//   4 bits   groups of 16 rows; of each 8 columns 64 bytes, byte 4 r + i with columns i and, in its upper half, 4 + i of
//            row r
//   1 bit    groups of 8 rows; of each 64 columns 8 words, one a row, the first column in the lowest bit
//
// Rows and columns are filled up with zeros.

#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace seqbench {

constexpr long kNibbleRows = 16, kNibbleColumns = 8, kBitRows = 8, kBitColumns = 64;

// (rows in whole groups) sums over columns of weight * code, codes up to 255
inline void nibble_sums(const uint8_t* weight, long n_groups, long n_blocks, const uint8_t* codes, int32_t* sums);

// (rows in whole groups) numbers of columns that differ
inline void bit_counts(const uint64_t* weight, long n_groups, long n_words, const uint64_t* bits, int64_t* counts);

#if defined(__AVX512VNNI__) && defined(__AVX512BW__)

template <int G>
inline void nibble_groups(const uint8_t* weight, long n_blocks, const uint8_t* codes, int32_t* sums) {
  const __m512i low = _mm512_set1_epi8(15);
  __m512i first[G], second[G];
  for (int g = 0; g < G; g++) first[g] = second[g] = _mm512_setzero_si512();
  for (long b = 0; b < n_blocks; b++) {
    int32_t four[2];
    std::memcpy(four, codes + b * kNibbleColumns, sizeof four);
    const __m512i left = _mm512_set1_epi32(four[0]), right = _mm512_set1_epi32(four[1]);
    for (int g = 0; g < G; g++) {
      const __m512i both = _mm512_loadu_si512(weight + (g * n_blocks + b) * 64);
      first[g] = _mm512_dpbusd_epi32(first[g], left, _mm512_and_si512(both, low));
      second[g] = _mm512_dpbusd_epi32(second[g], right, _mm512_and_si512(_mm512_srli_epi16(both, 4), low));
    }
  }
  for (int g = 0; g < G; g++) _mm512_storeu_si512(sums + g * kNibbleRows, _mm512_add_epi32(first[g], second[g]));
}

inline void nibble_sums(const uint8_t* weight, long n_groups, long n_blocks, const uint8_t* codes, int32_t* sums) {
  long g = 0;
  for (; g + 4 <= n_groups; g += 4) nibble_groups<4>(weight + g * n_blocks * 64, n_blocks, codes, sums + g * kNibbleRows);
  for (; g < n_groups; g++) nibble_groups<1>(weight + g * n_blocks * 64, n_blocks, codes, sums + g * kNibbleRows);
}

#elif defined(__AVX2__)

inline void nibble_sums(const uint8_t* weight, long n_groups, long n_blocks, const uint8_t* codes, int32_t* sums) {
  const __m256i low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
  for (long g = 0; g < n_groups; g++) {
    __m256i sum[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (long b = 0; b < n_blocks; b++) {
      int32_t four[2];
      std::memcpy(four, codes + b * kNibbleColumns, sizeof four);
      const __m256i left = _mm256_set1_epi32(four[0]), right = _mm256_set1_epi32(four[1]);
      for (int half = 0; half < 2; half++) {
        const uint8_t* at = weight + (g * n_blocks + b) * 64 + 32 * half;
        const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
        // two products of at most 255 * 15 each: four of them fit into 16 bits with a sign
        const __m256i one = _mm256_maddubs_epi16(left, _mm256_and_si256(both, low));
        const __m256i other = _mm256_maddubs_epi16(right, _mm256_and_si256(_mm256_srli_epi16(both, 4), low));
        sum[half] = _mm256_add_epi32(sum[half], _mm256_madd_epi16(_mm256_add_epi16(one, other), ones));
      }
    }
    for (int half = 0; half < 2; half++)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + g * kNibbleRows + 8 * half), sum[half]);
  }
}

#else

inline void nibble_sums(const uint8_t* weight, long n_groups, long n_blocks, const uint8_t* codes, int32_t* sums) {
  for (long g = 0; g < n_groups; g++) {
    int32_t* sum = sums + g * kNibbleRows;
    for (long r = 0; r < kNibbleRows; r++) sum[r] = 0;
    for (long b = 0; b < n_blocks; b++) {
      const uint8_t *both = weight + (g * n_blocks + b) * 64, *code = codes + b * kNibbleColumns;
      for (long r = 0; r < kNibbleRows; r++)
        for (long i = 0; i < 4; i++) sum[r] += (both[4 * r + i] & 15) * code[i] + (both[4 * r + i] >> 4) * code[4 + i];
    }
  }
}

#endif

#if defined(__AVX512VPOPCNTDQ__)

template <int G>
inline void bit_groups(const uint64_t* weight, long n_words, const uint64_t* bits, int64_t* counts) {
  __m512i count[G];
  for (int g = 0; g < G; g++) count[g] = _mm512_setzero_si512();
  for (long w = 0; w < n_words; w++) {
    const __m512i word = _mm512_set1_epi64(static_cast<long long>(bits[w]));
    for (int g = 0; g < G; g++) {
      const __m512i rows = _mm512_loadu_si512(weight + (g * n_words + w) * kBitRows);
      count[g] = _mm512_add_epi64(count[g], _mm512_popcnt_epi64(_mm512_xor_si512(rows, word)));
    }
  }
  for (int g = 0; g < G; g++) _mm512_storeu_si512(counts + g * kBitRows, count[g]);
}

inline void bit_counts(const uint64_t* weight, long n_groups, long n_words, const uint64_t* bits, int64_t* counts) {
  long g = 0;
  for (; g + 4 <= n_groups; g += 4) bit_groups<4>(weight + g * n_words * kBitRows, n_words, bits, counts + g * kBitRows);
  for (; g < n_groups; g++) bit_groups<1>(weight + g * n_words * kBitRows, n_words, bits, counts + g * kBitRows);
}

#else

inline void bit_counts(const uint64_t* weight, long n_groups, long n_words, const uint64_t* bits, int64_t* counts) {
  for (long g = 0; g < n_groups; g++) {
    int64_t count[kBitRows] = {};
    for (long w = 0; w < n_words; w++)
      for (long r = 0; r < kBitRows; r++)
        count[r] += __builtin_popcountll(weight[(g * n_words + w) * kBitRows + r] ^ bits[w]);
    for (long r = 0; r < kBitRows; r++) counts[g * kBitRows + r] = count[r];
  }
}

#endif

}  // namespace seqbench
