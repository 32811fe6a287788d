#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// DDSketch: quantiles of a stream with a relative error of at most kAlpha, mergeable, bounded.
// Values of any sign; those closer to zero than kMinValue count as zero. One thread at a time.
// When a store would need more than kMaxBins bins its lowest ones are collapsed into one, which
// costs precision at the low end only.
namespace godwit::metrics {

class Sketch {
 public:
  static constexpr double kAlpha = 0.01;
  static constexpr double kGamma = (1 + kAlpha) / (1 - kAlpha);
  static constexpr std::size_t kMaxBins = 2048;
  static constexpr double kMinValue = 1e-12;

  // Finite values only (others are ignored); weight > 0.
  void add(double v, double weight = 1);
  void merge(const Sketch& other);
  void clear();

  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] double count() const { return count_; }  // sum of weights
  [[nodiscard]] double sum() const { return sum_; }
  [[nodiscard]] double min() const { return min_; }  // 0 when empty
  [[nodiscard]] double max() const { return max_; }
  // q in [0, 1]; exact at 0 and 1. 0 when empty.
  [[nodiscard]] double quantile(double q) const;

  // Value v > 0 falls into bin index(v) = ceil(log_gamma(v)); the bin covers (gamma^(i-1),
  // gamma^i].
  static int index(double v);
  static double binValue(int index);       // within kAlpha of everything in the bin
  static double binUpperBound(int index);  // gamma^index

  struct Bin {
    int index;
    double count;
  };
  [[nodiscard]] std::vector<Bin> positiveBins() const;  // ascending, empty bins left out
  [[nodiscard]] std::vector<Bin> negativeBins() const;  // index of |v|
  [[nodiscard]] double zeroCount() const { return zero_; }

  // Sample::data of Kind::Sketch: version, alpha, count, sum, min, max, zero count, both stores.
  void appendTo(std::string& out) const;
  // nullopt: damaged, another version or alpha.
  static std::optional<Sketch> parse(std::string_view bytes);
  [[nodiscard]] std::size_t memoryBytes() const;

 private:
  struct Store {
    std::vector<double> bins;  // bins[i] counts index base + i
    int base = 0;
    void add(int index, double weight);
    void merge(const Store& other);
    void appendTo(std::string& out) const;
    [[nodiscard]] std::vector<Bin> list() const;
  };

  Store positive_;
  Store negative_;
  double zero_ = 0;
  double count_ = 0;
  double sum_ = 0;
  double min_ = 0;
  double max_ = 0;
};

}  // namespace godwit::metrics
