// What most entries of a plan don't have: a pointer in their place, so that they stay small.
#pragma once

#include <memory>
#include <optional>
#include <utility>

namespace rtprelay {

/// A value or none, as std::optional; it lies elsewhere, and a copy of it is another one.
template <typename T> class Boxed {
public:
  Boxed() = default;
  Boxed(std::nullopt_t) {}

  Boxed(T value) : value_(std::make_unique<T>(std::move(value))) {}
  Boxed(const Boxed& other)
      : value_(other.value_ == nullptr ? nullptr : std::make_unique<T>(*other.value_)) {}
  Boxed(Boxed&&) noexcept = default;
  Boxed& operator=(const Boxed& other) {
    if (this != &other)
      *this = Boxed(other);
    return *this;
  }
  Boxed& operator=(Boxed&&) noexcept = default;
  ~Boxed() = default;

  [[nodiscard]] bool has_value() const { return value_ != nullptr; }
  explicit operator bool() const { return has_value(); }
  [[nodiscard]] const T& value() const { return *value_; }
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return value_.get(); }
  const T* operator->() const { return value_.get(); }
  void reset() { value_.reset(); }

private:
  std::unique_ptr<T> value_;
};

} // namespace rtprelay
