// The rows of a batch, shared out among threads.

#pragma once

#include <algorithm>
#include <thread>
#include <vector>

namespace seqbench {

// Calls work(first row, how many, number of the thread) at the same time for shares of whole `block`s of rows.
template <typename Work>
void over_rows(long rows, long n_threads, long block, Work work) {
  const long share = (rows + n_threads - 1) / n_threads;
  const long each = std::max(block, (share + block - 1) / block * block);
  std::vector<std::thread> threads;
  for (long first = each; first < rows; first += each)
    threads.emplace_back([=] { work(first, std::min(each, rows - first), first / each); });
  work(0, std::min(each, rows), 0);
  for (auto& thread : threads) thread.join();
}

}  // namespace seqbench
