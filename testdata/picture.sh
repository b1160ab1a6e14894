#!/usr/bin/env bash
# Prints the picture in README: what the demo shows of its second backup, as SVG.
set -euo pipefail
cd "$(dirname "$0")/.."

TERM=xterm NO_COLOR='' script -qec 'stty cols 100; testdata/demo.sh' /dev/null | tr -d '\r' |
	awk '/the minutes deleted/ { on = 1 } /unmounted:/ { on = 0 } on' |
	awk '
	# style returns the attributes that the SGR parameters p stand for.
	function style(p) {
		if (p ~ /(^|;)1(;|$)/) bold = " font-weight=\"bold\""
		if (p ~ /(^|;)2(;|$)/) fill = "#8b949e"
		if (p ~ /31$/) fill = "#ff7b72"
		if (p ~ /32$/) fill = "#56d364"
		if (p ~ /36$/) fill = "#56d4dd"
		if (p ~ /^0?$/) { bold = ""; fill = "#e6edf3" }
		return " fill=\"" fill "\"" bold
	}
	function text(s) {
		gsub(/&/, "\\&amp;", s); gsub(/</, "\\&lt;", s); gsub(/>/, "\\&gt;", s)
		gsub(/ /, "\302\240", s) # SVG collapses blanks
		return s
	}
	BEGIN { step = 19; y = 14; look = style("") }
	{
		y += step
		out = out sprintf("<text x=\"16\" y=\"%d\">", y)
		n = split($0, part, "\033\\[")
		for (i = 1; i <= n; i++) {
			s = part[i]
			if (i > 1) {
				look = style(substr(s, 1, index(s, "m") - 1))
				s = substr(s, index(s, "m") + 1)
			}
			if (s != "") out = out "<tspan" look ">" text(s) "</tspan>"
		}
		out = out "</text>\n"
	}
	END {
		if (!NR) exit 1 # the demo has other words
		printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 880 %d\" xml:space=\"preserve\" font-size=\"14\" ", y + step
		print "font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace\">"
		printf "<title>a backup as rsync prints it, and as gocryptfs-rsync-pretty shows it</title>\n"
		printf "<rect width=\"100%%\" height=\"100%%\" rx=\"8\" fill=\"#0d1117\"/>\n%s</svg>\n", out
	}'
