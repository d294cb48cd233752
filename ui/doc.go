// Package ui is Muster's web interface.
package ui
