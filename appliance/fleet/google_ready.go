package fleet

import "context"

// GoogleReady says whether Androids can be invited: Google is connected and the organisation has signed up. It is no secret: whoever may
// invite has to see what can be.
func (f *Fleet) GoogleReady(ctx context.Context) (bool, error) {
	acc, err := f.google(ctx)
	return acc.Ready(), err
}
