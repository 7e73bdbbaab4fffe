package review

import (
	"slices"
	"strconv"
)

// number is a decimal that a pattern has matched; "" is 0.
func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

// diffLines compares two short texts by their longest common subsequence. It
// is for commit messages; git compares files.
func diffLines(a, b []string) []Chunk {
	const most = 2000 // bounds the table
	if len(a) > most || len(b) > most {
		return []Chunk{{A: a, B: b}}
	}
	common := make([][]int16, len(a)+1)
	for i := range common {
		common[i] = make([]int16, len(b)+1)
	}
	for i, line := range slices.Backward(a) {
		for j, other := range slices.Backward(b) {
			if line == other {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	d := &Diff{}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			d.common(a[i])
			i++
			j++
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			chunk := d.changed(false)
			chunk.A = append(chunk.A, a[i])
			i++
		default:
			chunk := d.changed(false)
			chunk.B = append(chunk.B, b[j])
			j++
		}
	}
	return d.Chunks
}
