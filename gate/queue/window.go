package queue

// Window bounds how many items of a queue may have unfinished work at once
// (A4 with C1: finished and failing items do not use it up). Zero fields take
// Zuul's defaults: 20, floor 3, no ceiling, +1 on a merge, halved on a
// failure.
type Window struct {
	Start, Floor, Ceiling int
	// Exponential growth multiplies by IncreaseFactor instead of adding it.
	ExponentialIncrease bool
	IncreaseFactor      int
	// LinearDecrease subtracts DecreaseFactor instead of dividing by it.
	LinearDecrease bool
	DecreaseFactor int
}

func (w Window) start() int { return orElse(w.Start, 20) }

func orElse(n, other int) int {
	if n == 0 {
		return other
	}
	return n
}

func (w Window) grown(size int) int {
	factor := orElse(w.IncreaseFactor, 1)
	if w.ExponentialIncrease {
		size *= factor
	} else {
		size += factor
	}
	if w.Ceiling > 0 {
		size = min(size, w.Ceiling)
	}
	return size
}

func (w Window) shrunk(size int) int {
	factor := orElse(w.DecreaseFactor, 2)
	if w.LinearDecrease {
		size -= factor
	} else {
		size /= factor
	}
	return max(size, orElse(w.Floor, 3))
}
