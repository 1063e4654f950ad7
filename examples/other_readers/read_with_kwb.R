# Reads EN 13508-2 text with the R package kwb.en13508.2, and writes its two tables as CSV files.
#
#     Rscript read_with_kwb.R FILE.txt OUT
#
# writes OUT-inspections.csv and OUT-observations.csv. The package and kwb.utils are at https://github.com/KWB-R.

library(kwb.en13508.2)

arguments <- commandArgs(trailingOnly = TRUE)
content <- readEuCodedFile(arguments[1], dbg = FALSE)
for (name in c("inspections", "observations")) {
  file <- sprintf("%s-%s.csv", arguments[2], name)
  write.csv(content[[name]], file, row.names = FALSE, na = "", fileEncoding = "UTF-8")
}
