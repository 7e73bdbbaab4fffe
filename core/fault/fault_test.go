package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

func TestAFaultKeepsItsKindWhenWrapped(t *testing.T) {
	err := fmt.Errorf("select server: %w", fault.New(fault.NotFound, "Instance %s could not be found.", "a"))
	assert.Equal(t, fault.NotFound, fault.KindOf(err))
	assert.True(t, fault.Is(err, fault.NotFound))
	assert.False(t, fault.Is(err, fault.Conflict))
	assert.Equal(t, "select server: Instance a could not be found.", err.Error())
}

func TestOtherErrorsAreInternalButNoFault(t *testing.T) {
	assert.Equal(t, fault.Internal, fault.KindOf(errors.New("disk on fire")))
	assert.False(t, fault.Is(errors.New("disk on fire"), fault.Internal))
	assert.False(t, fault.Is(nil, fault.Internal))
}
