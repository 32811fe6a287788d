#include "metrics/sketch.h"

#include <algorithm>
#include <cmath>

#include "metrics/bytes.h"

namespace godwit::metrics {
namespace {

constexpr std::uint8_t kVersion = 1;
// ln(gamma) for gamma = 101/99, written out because std::log is no constant expression.
constexpr double kLnGamma = 0.020000666706669524;
constexpr double kInverseLnGamma = 1 / kLnGamma;
// Indexes of all doubles at least kMinValue lie well inside this.
constexpr int kIndexLimit = 40'000;

}  // namespace

int Sketch::index(double v) { return static_cast<int>(std::ceil(std::log(v) * kInverseLnGamma)); }
double Sketch::binUpperBound(int index) { return std::exp(index * kLnGamma); }
// The value whose relative distance to both ends of the bin is the same.
double Sketch::binValue(int index) { return 2 * binUpperBound(index) / (1 + kGamma); }

void Sketch::Store::add(int index, double weight) {
  if (bins.empty()) {
    base = index;
    bins.assign(1, 0.0);
  }
  if (index < base) {
    const auto room = static_cast<int>(kMaxBins - bins.size());
    const int want = base - index;
    const int grow = std::min(want, room);
    bins.insert(bins.begin(), static_cast<std::size_t>(grow), 0.0);
    base -= grow;
    index = std::max(index, base);  // below the lowest bin there is: collapsed into it
  } else if (index >= base + static_cast<int>(bins.size())) {
    const int need = index - base + 1;
    if (need <= static_cast<int>(kMaxBins)) {
      bins.resize(static_cast<std::size_t>(need), 0.0);
    } else {
      const int shift = need - static_cast<int>(kMaxBins);
      double collapsed = 0;
      const auto gone = std::min(static_cast<std::size_t>(shift), bins.size());
      for (std::size_t i = 0; i < gone; ++i) collapsed += bins[i];
      bins.erase(bins.begin(), bins.begin() + static_cast<std::ptrdiff_t>(gone));
      bins.resize(kMaxBins, 0.0);
      base += shift;
      bins[0] += collapsed;
    }
  }
  bins[static_cast<std::size_t>(index - base)] += weight;
}

void Sketch::Store::merge(const Store& other) {
  // From the top, so that what must collapse does so once.
  for (std::size_t i = other.bins.size(); i-- > 0;) {
    if (other.bins[i] > 0) add(other.base + static_cast<int>(i), other.bins[i]);
  }
}

std::vector<Sketch::Bin> Sketch::Store::list() const {
  std::vector<Bin> out;
  for (std::size_t i = 0; i < bins.size(); ++i) {
    if (bins[i] > 0) out.push_back({base + static_cast<int>(i), bins[i]});
  }
  return out;
}

void Sketch::add(double v, double weight) {
  if (!std::isfinite(v) || !(weight > 0) || !std::isfinite(weight)) return;
  if (v > kMinValue) {
    positive_.add(index(v), weight);
  } else if (v < -kMinValue) {
    negative_.add(index(-v), weight);
  } else {
    zero_ += weight;
  }
  min_ = count_ == 0 ? v : std::min(min_, v);
  max_ = count_ == 0 ? v : std::max(max_, v);
  count_ += weight;
  sum_ += v * weight;
}

void Sketch::merge(const Sketch& other) {
  if (other.empty()) return;
  positive_.merge(other.positive_);
  negative_.merge(other.negative_);
  zero_ += other.zero_;
  min_ = empty() ? other.min_ : std::min(min_, other.min_);
  max_ = empty() ? other.max_ : std::max(max_, other.max_);
  count_ += other.count_;
  sum_ += other.sum_;
}

void Sketch::clear() { *this = Sketch(); }

double Sketch::quantile(double q) const {
  if (empty()) return 0;
  if (!(q > 0)) return min_;
  if (q >= 1) return max_;
  const double rank = q * (count_ - 1);
  double seen = 0;
  const auto found = [&](double v) { return std::clamp(v, min_, max_); };
  for (std::size_t i = negative_.bins.size(); i-- > 0;) {
    seen += negative_.bins[i];
    if (seen > rank) return found(-binValue(negative_.base + static_cast<int>(i)));
  }
  seen += zero_;
  if (seen > rank) return found(0);
  for (std::size_t i = 0; i < positive_.bins.size(); ++i) {
    seen += positive_.bins[i];
    if (seen > rank) return found(binValue(positive_.base + static_cast<int>(i)));
  }
  return max_;
}

std::vector<Sketch::Bin> Sketch::positiveBins() const { return positive_.list(); }
std::vector<Sketch::Bin> Sketch::negativeBins() const { return negative_.list(); }

std::size_t Sketch::memoryBytes() const {
  return sizeof *this + (positive_.bins.capacity() + negative_.bins.capacity()) * sizeof(double);
}

// store := varint n, (varint zigzag(index - former index), f64 count)*
void Sketch::Store::appendTo(std::string& out) const {
  const std::vector<Bin> bins_now = list();
  const std::size_t at = out.size();
  out.resize(at + 10 + bins_now.size() * 18);
  ByteWriter w(out.data() + at);
  w.varint(bins_now.size());
  int last = 0;
  for (const Bin& b : bins_now) {
    const std::int64_t d = b.index - last;
    w.varint(static_cast<std::uint64_t>(d) << 1 ^ static_cast<std::uint64_t>(d >> 63));
    w.fixed(b.count);
    last = b.index;
  }
  out.resize(static_cast<std::size_t>(w.at() - out.data()));
}

// sketch := u8 version, f64 alpha, count, sum, min, max, zero, positive store, negative store
void Sketch::appendTo(std::string& out) const {
  out += static_cast<char>(kVersion);
  for (const double d : {kAlpha, count_, sum_, min_, max_, zero_}) {
    out.append(reinterpret_cast<const char*>(&d), sizeof d);
  }
  positive_.appendTo(out);
  negative_.appendTo(out);
}

std::optional<Sketch> Sketch::parse(std::string_view bytes) {
  ByteReader r(bytes);
  if (r.fixed<std::uint8_t>() != kVersion || r.fixed<double>() != kAlpha) return std::nullopt;
  Sketch s;
  for (double* d : {&s.count_, &s.sum_, &s.min_, &s.max_, &s.zero_}) *d = r.fixed<double>();
  const auto bad = [](double d) { return !std::isfinite(d); };
  if (bad(s.count_) || s.count_ < 0 || bad(s.sum_) || bad(s.min_) || bad(s.max_) || bad(s.zero_) ||
      s.zero_ < 0) {
    return std::nullopt;
  }
  for (Store* store : {&s.positive_, &s.negative_}) {
    const std::uint64_t n = r.varint();
    if (n > kMaxBins) return std::nullopt;
    std::int64_t last = 0;
    for (std::uint64_t i = 0; i < n; ++i) {
      const std::uint64_t z = r.varint();
      const auto count = r.fixed<double>();
      if (z > 4 * kIndexLimit) return std::nullopt;  // before it can overflow the sum
      last += static_cast<std::int64_t>(z >> 1) ^ -static_cast<std::int64_t>(z & 1);
      if (!r.ok() || last < -kIndexLimit || last > kIndexLimit || bad(count) || count <= 0) {
        return std::nullopt;
      }
      store->add(static_cast<int>(last), count);
    }
  }
  if (!r.ok() || r.left() != 0) return std::nullopt;
  return s;
}

}  // namespace godwit::metrics
