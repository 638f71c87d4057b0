# complete.sh SCRIPT FUNCTION WORD…: what bash offers for the last word, on one line.
source "$1"
run=$2
shift 2
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMPREPLY=()
"$run"
echo "offers: ${COMPREPLY[*]}."
